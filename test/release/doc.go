// Package release checks how the dispatcher is put onto a machine: the systemd unit, the packages' scripts, and, behind the
// build tag release, the .deb in a container with systemd, from its installation to its purge:
//
//	make release-test
//
// The invariant: what dispatcher/README.md promises of the service is what systemd and dpkg do.
package release
