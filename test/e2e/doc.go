// Package e2e runs jobs in real virtual machines: sim/pve with QEMU behind it, sim/gh, guests from test/guest, and
// `mayfly run` as a process of its own with nothing but environment variables, or a file where one is needed. `make e2e` runs it (build tag e2e):
//
//	sh test/guest/packages.sh && go test -tags e2e -count=1 -v ./test/e2e/...
//
// TestFromNothingToTheFirstJob follows `mayfly up` instead, and keeps the transcript that README.md and docs/up.md show (-update writes it anew).
//
// The dispatcher's own container is booted, too: the archive that `mayfly bootstrap` uploads, in an unprivileged LXC container with systemd, after all
// that Proxmox does to it.
//
// Tests with machines run beside one another: one emulated processor leaves others idle. Those with containers, which share a bridge, don't.
//
// It ends with a table of how long each stage of a runner's life took; nothing is asserted about those times. The
// invariant it checks: one job, one machine, and nothing of either is left.
package e2e
