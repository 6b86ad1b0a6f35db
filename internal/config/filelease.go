package config

import _ "embed" // this file's comments are the reference text

// fileLeaseSource is this file, as fileSource is file.go.
//
//go:embed filelease.go
var fileLeaseSource string

// FileLease is the key "lease".
type FileLease struct {
	// Whether mayfly run works only while it holds the installation's lease, so that a second one can stand by for it (docs/ha.md). All
	// dispatchers of an installation need it then.
	Enabled bool `yaml:"enabled" env:"LEASE_ENABLED" default:"false"`
	// The directory mapping of Proxmox VE that the lease is kept in; each installation has one of its own.
	Mapping string `yaml:"mapping" env:"LEASE_MAPPING" default:"mayfly" form:"config_id"`
	// How long the lease outlives its holder's last renewal. A standby takes over after that time.
	TTL Duration `yaml:"ttl" env:"LEASE_TTL" default:"30s" min:"15s" max:"10m"`
}
