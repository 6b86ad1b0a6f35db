package config

import "time"

// Lease says whether dispatchers of the installation take turns.
type Lease struct {
	// Enabled says that mayfly run works only while it holds the lease.
	Enabled bool
	// Mapping is the id of Proxmox's directory mapping that the lease is kept in.
	Mapping string
	// TTL is how long the lease outlives its holder's last renewal.
	TTL time.Duration
}

func (f *FileLease) lease() Lease {
	return Lease{Enabled: f.Enabled, Mapping: f.Mapping, TTL: time.Duration(f.TTL)}
}

func fileLeaseOf(l Lease) FileLease {
	return FileLease{Enabled: l.Enabled, Mapping: l.Mapping, TTL: Duration(l.TTL)}
}
