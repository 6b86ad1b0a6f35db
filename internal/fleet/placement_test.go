package fleet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mayfly/internal/runner"
)

// someNode is a node of 64 GiB and 16 cores on which others use 8 GiB, with a storage of its own.
func someNode(name string, change func(*candidate)) candidate {
	c := candidate{
		load: &nodeLoad{
			node:   node{name: name, online: true, cpus: 16, memory: 64 * runner.GiB, used: 8 * runner.GiB},
			ofPool: map[string]int{},
		},
		from:   &template{id: 9000, node: name},
		spaces: []*spaceLoad{{space: space{name: "local-lvm", kind: "lvmthin", active: true, size: 500 * runner.GiB, free: 400 * runner.GiB}, known: true}},
		needs:  5 * runner.GiB,
	}
	if change != nil {
		change(&c)
	}
	return c
}

var (
	usual  = Placement{MemoryReserve: 2 * runner.GiB, MemoryOvercommit: 1, CPUOvercommit: 4, LinkedGrowth: 5 * runner.GiB, StorageReserve: 5 * runner.GiB}
	middle = size{memory: 8 * runner.GiB, cores: 4}
)

// wanting has a runner of that size on each of them.
func wanting(list []candidate, want size) []candidate {
	for i := range list {
		list[i].want, list[i].judged = want, judged{}
	}
	return list
}

func TestPlacementChooses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rules  func(*Placement)
		a, b   func(*candidate)
		want   string // "" for none
		reason string // of the refusal of a
	}{
		{name: "ties go by name", want: "a"},
		{name: "the one with less load", a: func(c *candidate) { c.load.used = 30 * runner.GiB }, want: "b"},
		{name: "the fuller one when packing", rules: func(p *Placement) { p.Strategy = Pack }, b: func(c *candidate) { c.load.used = 30 * runner.GiB }, want: "b"},
		{name: "what is promised counts", a: func(c *candidate) { c.load.promised = 16 * runner.GiB }, want: "b"},
		{name: "a heavier node gets more", rules: func(p *Placement) { p.Weights = map[string]float64{"b": 3} }, b: func(c *candidate) { c.load.used = 20 * runner.GiB }, want: "b"},
		{
			name: "apart from those of its pool", rules: func(p *Placement) { p.AntiAffinity = true },
			a: func(c *candidate) { c.load.ofPool["ep"] = 1 }, b: func(c *candidate) { c.load.used = 30 * runner.GiB }, want: "b",
		},
		{name: "the newest version", b: func(c *candidate) { c.from.image.Version = "20260102-0000"; c.load.used = 40 * runner.GiB }, want: "b"},
		{name: "offline", a: func(c *candidate) { c.load.online = false }, want: "b", reason: "offline"},
		{name: "silent", a: func(c *candidate) { c.load.silent = "timeout" }, want: "b", reason: "doesn't answer: timeout"},
		{name: "in maintenance", a: func(c *candidate) { c.load.maintenance = true }, want: "b", reason: "in maintenance"},
		{name: "barred", a: func(c *candidate) { c.barred = "no template" }, want: "b", reason: "no template"},
		{name: "the reserve is kept", a: func(c *candidate) { c.load.used = 55 * runner.GiB }, want: "b", reason: "7.0 GiB of memory free after 2.0 GiB of reserve"},
		{name: "memory overcommitted", rules: func(p *Placement) { p.MemoryOvercommit = 2; p.Strategy = Pack }, a: func(c *candidate) { c.load.used = 55 * runner.GiB }, want: "a"},
		{name: "memory not counted", rules: func(p *Placement) { p.MemoryOvercommit, p.Strategy = 0, Pack }, a: func(c *candidate) { c.load.used, c.load.cores = 64*runner.GiB, 8 }, want: "a"},
		{name: "figures unknown", a: func(c *candidate) { c.load.memory, c.load.cpus = 0, 0 }, want: "a"},
		{name: "cores", a: func(c *candidate) { c.load.cores = 61 }, want: "b", reason: "61 of the 64 cores"},
		{name: "storage full", a: func(c *candidate) { c.spaces[0].free = 9 * runner.GiB }, want: "b", reason: "storage local-lvm has 4.0 GiB free after 5.0 GiB of reserve"},
		{name: "storage inactive", a: func(c *candidate) { c.spaces[0].active = false }, want: "b", reason: "isn't active"},
		{name: "storage unseen", a: func(c *candidate) { c.spaces[0] = &spaceLoad{} }, want: "a"},
		{name: "node's tasks", a: func(c *candidate) { c.load.tasks = 4 }, want: "b", reason: "4 clones and destroys run already"},
		{name: "storage's tasks", a: func(c *candidate) { c.spaces[0].tasks = 4 }, want: "b", reason: "already on storage local-lvm"},
		{name: "none", a: func(c *candidate) { c.load.online = false }, b: func(c *candidate) { c.load.maintenance = true }, reason: "offline"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rules := usual
			if tc.rules != nil {
				tc.rules(&rules)
			}
			list := []candidate{someNode("b", tc.b), someNode("a", tc.a)}
			chosen, refused := rules.place(wanting(list, middle), "ep", nothingShut), rules.refused(list, nothingShut)
			got := ""
			if chosen >= 0 {
				got = list[chosen].load.name
			}
			if got != tc.want {
				t.Errorf("chose %q, want %q; refused %v", got, tc.want, refused)
			}
			if tc.reason != "" && (len(refused) == 0 || refused[0].node != "a" || !strings.Contains(refused[0].why, tc.reason)) {
				t.Errorf("refused %v, want a for %q", refused, tc.reason)
			}
			if tc.reason == "" && len(refused) > 0 {
				t.Errorf("refused %v", refused)
			}
		})
	}
}

// drawNodes makes nodes of any load, some of which share a storage.
func drawNodes(t *rapid.T) []candidate {
	shared := &spaceLoad{space: space{name: "ceph", kind: "rbd", shared: true, active: true, size: 1000 * runner.GiB, free: runner.Bytes(rapid.IntRange(0, 300).Draw(t, "shared")) * runner.GiB}, known: true}
	var list []candidate
	for i := range rapid.IntRange(1, 8).Draw(t, "nodes") {
		list = append(list, someNode(fmt.Sprintf("pve%d", i), func(c *candidate) {
			c.load.used = runner.Bytes(rapid.IntRange(0, 64).Draw(t, "used")) * runner.GiB
			c.load.online = rapid.IntRange(0, 9).Draw(t, "online") > 0
			c.load.maintenance = rapid.IntRange(0, 9).Draw(t, "maintenance") == 0
			switch rapid.IntRange(0, 4).Draw(t, "storage") {
			case 0, 1:
				c.spaces = []*spaceLoad{shared}
			case 2:
				c.spaces = nil // nobody knows where its disks go
			}
		}))
	}
	return list
}

func TestPlacementNeverGoesOverWhatThereIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := usual
		rules.NodeTasks, rules.StorageTasks = 100, 100
		rules.Strategy = rapid.SampledFrom([]Strategy{Spread, Pack}).Draw(t, "strategy")
		rules.AntiAffinity = rapid.Bool().Draw(t, "apart")
		list := drawNodes(t)
		for range 60 {
			want := size{memory: runner.Bytes(rapid.IntRange(1, 16).Draw(t, "memory")) * runner.GiB, cores: rapid.IntRange(1, 8).Draw(t, "cores")}
			chosen, refused := rules.place(wanting(list, want), "ep", nothingShut), rules.refused(list, nothingShut)
			if chosen < 0 {
				if len(refused) != len(list) {
					t.Fatalf("%d reasons for %d nodes", len(refused), len(list))
				}
				continue
			}
			list[chosen].take("ep")
		}
		for _, c := range list {
			n := c.load
			if n.runners == 0 {
				continue
			}
			if !n.online || n.maintenance {
				t.Fatalf("%s got runners, online %v, maintenance %v", n.name, n.online, n.maintenance)
			}
			if n.used+n.promised > n.memory-rules.MemoryReserve || float64(n.cores) > 4*n.cpus {
				t.Fatalf("%s has %s of %s and %d cores", n.name, n.used+n.promised, n.memory, n.cores)
			}
			for _, s := range c.spaces {
				if s.promised+rules.StorageReserve > s.free {
					t.Fatalf("storage %s promised %s of %s", s.name, s.promised, s.free)
				}
			}
		}
	})
}

func TestPlacementIsTheSameInAnyOrderOfTheNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := drawNodes(t)
		rules := usual
		rules.Strategy = rapid.SampledFrom([]Strategy{Spread, Pack}).Draw(t, "strategy")
		first, reasons := rules.place(wanting(list, middle), "ep", nothingShut), rules.refused(list, nothingShut)
		name := ""
		if first >= 0 {
			name = list[first].load.name
		}
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		again, others := rules.place(wanting(list, middle), "ep", nothingShut), rules.refused(list, nothingShut)
		if (again >= 0) != (first >= 0) || again >= 0 && list[again].load.name != name || !slices.Equal(reasons, others) {
			t.Fatalf("%q first, %d afterwards", name, again)
		}
	})
}

// TestPlacementForgetsWhatHasChanged has two pools take turns on the same nodes: what was found of a candidate before is of no
// more use than what is found anew.
func TestPlacementForgetsWhatHasChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := usual
		rules.NodeTasks, rules.StorageTasks = 6, 9
		rules.Strategy = rapid.SampledFrom([]Strategy{Spread, Pack}).Draw(t, "strategy")
		rules.AntiAffinity = rapid.Bool().Draw(t, "apart")
		one := drawNodes(t)
		lists := map[string][]candidate{"one": wanting(one, size{memory: runner.GiB, cores: 1}), "two": wanting(slices.Clone(one), size{memory: 6 * runner.GiB, cores: 3})}
		for range 60 {
			pool := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "pool")
			list := lists[pool]
			chosen := rules.place(list, pool, nothingShut)
			if anew := rules.place(wanting(slices.Clone(list), list[0].want), pool, nothingShut); anew != chosen {
				t.Fatalf("pool %s: %d, and %d without what was found before", pool, chosen, anew)
			}
			if chosen >= 0 {
				list[chosen].take(pool)
			}
		}
	})
}

func TestEqualNodesGetEqualShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := usual
		rules.NodeTasks, rules.StorageTasks = 100, 100
		var list []candidate
		for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
			list = append(list, someNode(fmt.Sprintf("pve%d", i), nil))
		}
		small := size{memory: runner.GiB, cores: 1}
		for range rapid.IntRange(1, 40).Draw(t, "runners") {
			if chosen := rules.place(wanting(list, small), "ep", nothingShut); chosen >= 0 {
				list[chosen].take("ep")
			}
		}
		least, most := list[0].load.runners, list[0].load.runners
		for _, c := range list {
			least, most = min(least, c.load.runners), max(most, c.load.runners)
		}
		if most-least > 1 {
			t.Fatalf("between %d and %d runners a node", least, most)
		}
	})
}

// TestRunnerIsMeasuredByTheTemplateItComesFrom: the first node by name has no copy, and says nothing of the size.
func TestRunnerIsMeasuredByTheTemplateItComesFrom(t *testing.T) {
	o := world(job(1, "self-hosted", "linux", "x64"))
	o.supply.nodes = map[string]node{}
	for _, name := range []string{"pve1", "pve2"} {
		o.supply.nodes[name] = node{name: name, online: true, cpus: 16, memory: 64 * runner.GiB, used: 56 * runner.GiB}
	}
	big := template{id: 9001, node: "pve2"}
	big.cfg.Values = map[string]string{"memory": "16384", "cores": "4"}
	o.supply.templates["tmpl"] = &template{id: 9001, node: "pve2", cfg: big.cfg}
	s := testSpec()
	s.Nodes, s.Placement = []string{"pve1", "pve2"}, usual
	d := plan(s, o, noon)
	if len(d.actions) != 0 || len(d.waiting) != 1 || d.waiting[0].Reason.Code != WaitNode || !strings.Contains(d.waiting[0].Reason.Text, "16.0 GiB needed") {
		t.Errorf("actions %+v, waiting %+v", d.actions, d.waiting)
	}
}

func TestSizeIsReadOutOfAConfig(t *testing.T) {
	cfg := template{}.cfg
	cfg.Values = map[string]string{
		"memory": "8192", "cores": "4", "sockets": "2", "scsi0": "ceph:base-9000-disk-0,discard=on,size=20G", "efidisk0": "ceph:base-9000-disk-1,size=4M",
		"ide2": "none,media=cdrom", "ide0": "local:iso/x.iso,media=cdrom,size=4M", "scsihw": "virtio-scsi-single",
	}
	got := sizeOf(cfg)
	if got.memory != 8*runner.GiB || got.cores != 8 || got.disk != 20*runner.GiB+4*runner.MiB || !slices.Equal(got.storages, []string{"ceph", "local"}) {
		t.Errorf("%+v", got)
	}
}

func BenchmarkPlacementOverFiftyNodes(b *testing.B) {
	var list []candidate
	for i := range 50 {
		list = append(list, someNode(fmt.Sprintf("pve%02d", i), func(c *candidate) { c.load.used = runner.Bytes(i%40) * runner.GiB }))
	}
	b.ReportAllocs()
	for b.Loop() {
		if chosen := usual.place(wanting(list, middle), "ep", nothingShut); chosen < 0 {
			b.Fatal("none fits")
		}
	}
}

func nothingShut([]thing) string { return "" }
