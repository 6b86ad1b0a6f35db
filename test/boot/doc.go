// Package boot measures how long a runner's guest takes from power-on to ready, with each trick of
// runners/common/provision.d/60-boot.sh alone, with all of them, with none, and with a process 1 that does the least that
// can be done. `make bench-boot` runs it (build tag bench) and writes the tables of docs/performance.md.
//
// Ready is when the guest agent runs `run-once.sh --probe` and it says that there is a default route, that DNS answers and
// that the listener's program can be read. The guests are those that test/guest builds under the names "boot-…"; their
// network is a segment of Ethernet inside the test, with DHCP and DNS and nothing behind it.
//
// The invariant: guests are compared within a round, one at a time, so that what else the machine does hits all alike;
// the figures are medians of the rounds. Nothing is asserted about time.
package boot
