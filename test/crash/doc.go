// Package crash kills `mayfly run` with SIGKILL between two of its calls and starts it again. The real binary runs as
// a process against `mayfly sim pve` and `mayfly sim gh` in processes of their own. The stand-ins hold one call at the
// door, before it took effect or after it did and before the reply, until the dispatcher is dead: 16 windows, two for
// each change that it makes. Others kill it while a task of Proxmox's is at work that outlives the restart, and at random
// times through five hundred jobs, for five minutes. `make crash` runs it (build tag crash):
//
//	go test -tags crash -count=1 -v ./test/crash/...
//
// MAYFLY_CRASH_SEED repeats the random test with the seed that an earlier run printed. It ends with a table of how long
// each window took to come right; nothing is asserted about those times.
//
// The invariant it checks, from the stand-ins' own records and never from the dispatcher's word: every job is done
// exactly once and by a VM of its own, nothing is left on either side, and what isn't ours is as it was.
package crash
