package pve

import (
	"slices"
	"strings"
)

// before9 reports whether the server stands in for Proxmox VE 8.4, whatever number of that line it shows.
func (o Options) before9() bool {
	major, _, _ := strings.Cut(o.Release, ".")
	return len(major) == 1 && major < "9"
}

// methods is the API of the release.
func (o Options) methods() *methodTable {
	if o.before9() {
		return loadMethods84()
	}
	return loadMethods()
}

// monitor is the privilege for the guest agent before Proxmox VE 9, guestAgent are those since (the releases' schemas; 8.4
// names no other privilege that 9.2 doesn't, and the reverse).
const (
	monitor    = "VM.Monitor"
	guestAgent = "VM.GuestAgent."
)

// known leaves out privileges that the release doesn't have: a role in user.cfg is read without them (pve-access-control
// AccessControl.pm, parse_user_config). The roles that come with the stand-in name those of both releases.
func (o Options) known(privileges []string) []string {
	return slices.DeleteFunc(slices.Clone(privileges), func(p string) bool {
		return o.before9() && strings.HasPrefix(p, guestAgent) || !o.before9() && p == monitor
	})
}

// kernel is what runs on nodes.
func (o Options) kernel() string {
	if o.before9() {
		return "6.8.12-10-pve"
	}
	return "6.14.11-4-pve"
}
