package fleet

import (
	"fmt"
	"testing"
	"time"

	"mayfly/internal/runner"
)

// fleetOf is a spec and an observation of so many busy runners in ten pools on so many nodes, with so many jobs that wait
// for more. A cluster of several nodes has room for more of them than may be made at once.
func fleetOf(nodes, runners, jobs int) (Spec, observed) {
	const pools = 10
	var all []runner.Pool
	for i := range pools {
		pool := testPool(fmt.Sprintf("pool%d", i), fmt.Sprintf("pool%d", i), "linux", "x64")
		pool.Max = 2 * runners
		all = append(all, pool)
	}
	s := testSpec(all...)
	s.MaxRunners, s.VMIDs = runners+pools, Range{10_000, 10_000 + 3*runners + 100}
	var waiting []runner.Job
	for i := range jobs {
		waiting = append(waiting, job(int64(i+1), "linux", fmt.Sprintf("pool%d", i%pools)))
	}
	o := world(waiting...)
	if nodes > 1 {
		s.Nodes, s.MaxRunners = []string{AllNodes}, 2*runners
		s.Placement = Placement{MemoryReserve: 2 * runner.GiB, MemoryOvercommit: 1, CPUOvercommit: 4, AntiAffinity: true}
		several(&o, nodes)
	}
	for i := range runners {
		e := o.with(10_000+i, fmt.Sprintf("pool%d", i%pools), runner.Busy)
		e.created = noon.Add(time.Duration(i) * time.Millisecond)
		if nodes > 1 {
			e.node = nodeName(i % nodes)
		}
	}
	return s, o
}

func nodeName(i int) string { return fmt.Sprintf("pve%d", i+1) }

// several spreads a world over nodes with a template on each.
func several(o *observed, nodes int) {
	o.supply.nodes, o.supply.spaces = map[string]node{}, map[string]space{}
	for i := range nodes {
		name := nodeName(i)
		o.supply.nodes[name] = node{name: name, online: true, memory: 1024 * runner.GiB, used: 16 * runner.GiB, cpus: 256}
		o.supply.spaces[spaceKey(name, "local-lvm", false)] = space{name: "local-lvm", kind: "lvmthin", active: true, size: 1 << 44, free: 1 << 43}
	}
	for base, lead := range o.supply.templates {
		lead.node = nodeName(0)
		lead.cfg.Values = map[string]string{"memory": "4096", "cores": "2", "scsi0": "local-lvm:base-1-disk-0,size=8G"}
		for i := 1; i < nodes; i++ {
			other := *lead
			other.copies, other.node, other.id = nil, nodeName(i), lead.id+i
			lead.copies = append(lead.copies, other)
		}
		o.supply.templates[base] = lead
	}
}

// BenchmarkPlan is one plan over fleets that grow tenfold each time, with ten waiting jobs for each runner.
func BenchmarkPlan(b *testing.B) {
	for _, nodes := range []int{1, 50} {
		for _, runners := range []int{10, 100, 1000, 10_000} {
			b.Run(fmt.Sprintf("nodes=%d/runners=%d/jobs=%d", nodes, runners, 10*runners), func(b *testing.B) {
				s, o := fleetOf(nodes, runners, 10*runners)
				clones := min(nodes*maxNodeTasks, s.MaxRunners-runners)
				if nodes == 1 {
					clones = min(maxNodeTasks, 10)
				}
				b.ReportAllocs()
				for b.Loop() {
					d := plan(s, o, noon)
					if len(d.waiting) != 10*runners {
						b.Fatalf("%d jobs have a reason", len(d.waiting))
					}
					if n := clonesIn(d); n != clones {
						b.Fatalf("%d clones are planned, want %d", n, clones)
					}
				}
			})
		}
	}
}

// BenchmarkPlanOfSpares is one plan over fleets of nothing but booted spares, for which no job waits.
func BenchmarkPlanOfSpares(b *testing.B) {
	for _, runners := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("runners=%d", runners), func(b *testing.B) {
			s, o := fleetOf(50, runners, 0)
			for i := range s.Pools {
				s.Pools[i].BootedSpares = runners / len(s.Pools)
			}
			i := 0
			for id, e := range o.ledger.runners {
				pool, _ := s.Pool(e.pool)
				spare := entry{vmid: id, node: e.node, name: e.name, pool: e.pool, created: e.created, cloned: noon, configured: noon, started: noon, ready: noon, template: 9000 + i%50}
				spare.shape = s.shapeKey(pool, o.supply.baseOf(&spare, pool))
				*e = spare
				i++
			}
			b.ReportAllocs()
			for b.Loop() {
				if d := plan(s, o, noon); len(d.actions) != 0 || len(d.kept) != runners {
					b.Fatalf("%d actions are planned, and %d runners kept", len(d.actions), len(d.kept))
				}
			}
		})
	}
}

func clonesIn(d decision) int {
	n := 0
	for _, a := range d.actions {
		if a.step == StepClone {
			n++
		}
	}
	return n
}
