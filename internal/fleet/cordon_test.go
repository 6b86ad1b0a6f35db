package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

func failedTask(text string) error {
	return fmt.Errorf("runner ep-1: clone to VM 201 on pve2: %w", &proxmox.Error{Kind: proxmox.TaskFailed, Op: "task qmclone on pve1", Message: text})
}

func refused(kind proxmox.Kind, status int, text string) error {
	return fmt.Errorf("runner ep-1: clone template 9000 to VM 201 on pve2: %w", &proxmox.Error{Kind: kind, Op: "clone VM 9000", Status: status, Message: text})
}

// TestFailureIsBlamedOnWhatIsAtFault: template 9000 is on pve1, which clones it to pve2, to the storages fast and local-zfs.
// The texts are Proxmox's own.
func TestFailureIsBlamedOnWhatIsAtFault(t *testing.T) {
	here, source := thing{ThingNode, "pve2", ""}, thing{ThingNode, "pve1", ""}
	copyHere, original := thing{ThingTemplate, "pve2", "9000"}, thing{ThingTemplate, "pve1", "9000"}
	shared, local := thing{ThingStorage, "", "fast"}, thing{ThingStorage, "pve2", "local-zfs"}
	o := supply{spaces: map[string]space{spaceKey("pve2", "fast", false): {shared: true}}}
	list := o.things("pve2", &template{id: 9000, node: "pve1"}, []string{"fast", "local-zfs"})
	if want := []thing{here, copyHere, source, original, shared, local}; !slices.Equal(list, want) {
		t.Fatalf("things %v, want %v", list, want)
	}
	for _, tc := range []struct {
		name  string
		err   error
		stage Stage
		want  []thing
	}{
		{"thin pool full", failedTask("clone failed: lvcreate snapshot 'pve/vm-201-disk-0' error: Cannot create new thin volume, free space in thin pool pve/data reached threshold."), StageClone, []thing{local}},
		{"thick LVM full", failedTask("clone failed: lvcreate 'vg/vm-201-disk-0' error: Volume group \"vg\" has insufficient free space (10 extents): 2048 required."), StageClone, []thing{local}},
		{"file system full, its path names it", failedTask("clone failed: unable to create image: qemu-img: /mnt/pve/fast/images/201/vm-201-disk-0.qcow2: Could not write qcow2 header: No space left on device"), StageClone, []thing{shared}},
		{"storage away", failedTask("clone failed: storage 'fast' is not online"), StageClone, []thing{shared}},
		{"storage can't be activated", failedTask("clone failed: unable to activate storage 'fast' - directory is expected to be a mount point but is not mounted: '/mnt/pve/fast'"), StageClone, []thing{shared}},
		{"storage's cluster lock", failedTask("clone failed: cfs-lock 'storage-fast' error: got lock request timeout"), StageClone, []thing{shared}},
		{"storage's lock on the node", failedTask("clone failed: can't lock file '/var/lock/pve-manager/pve-storage-local-zfs' - got timeout"), StageClone, []thing{local}},
		{"broken disk at the start", failedTask("start failed: read error: Input/output error"), StageStart, []thing{local}},
		{"base volume gone", failedTask("clone failed: volume 'fast:base-9000-disk-0' does not exist"), StageClone, []thing{original}},
		{"logical volume gone", refused(proxmox.Unavailable, 500, "no such logical volume pve/base-9000-disk-0"), StageClone, []thing{original}},
		{"template gone", refused(proxmox.NotFound, 500, "unable to find configuration file for VM 9000 on node 'pve1'"), StageClone, []thing{original}},
		{"template locked", refused(proxmox.Locked, 500, "VM is locked (backup)"), StageClone, []thing{original}},
		{"words that say nothing", failedTask("clone failed: got signal 9"), StageClone, []thing{source, original}},
		{"its node is down", refused(proxmox.Unavailable, 595, "No route to host"), StageClone, []thing{source}},
		{"its node is cut off", refused(proxmox.Unavailable, 500, "cluster not ready - no quorum?"), StageClone, []thing{source}},
		{"its node hangs", refused(proxmox.MaybeHappened, 596, "Connection timed out"), StageClone, []thing{source}},
		{"clone takes too long", fmt.Errorf("runner ep-1: clone to VM 201 on pve2: %w", context.DeadlineExceeded), StageClone, []thing{source}},
		{"no such node", refused(proxmox.BadParameter, 500, "no such cluster node 'pve1'"), StageClone, []thing{source}},
		{"QEMU doesn't start", failedTask("start failed: QEMU exited with code 1"), StageStart, []thing{here}},
		{"config can't be written", refused(proxmox.Busy, 500, "can't lock file '/var/lock/qemu-server/lock-201.conf' - got timeout"), StageConfigure, []thing{here}},
		{"API doesn't answer", refused(proxmox.Unavailable, 0, "connection refused"), StageClone, nil},
		{"API's reply is lost", refused(proxmox.MaybeHappened, 0, "EOF"), StageClone, nil},
		{"token may not", refused(proxmox.Permission, 403, "Permission check failed (/storage/fast, Datastore.AllocateSpace)"), StageClone, nil},
		{"VMID taken", failedTaskOf(proxmox.Exists, "close (rename) atomic file failed: File exists"), StageClone, nil},
		{"refused as it is", refused(proxmox.BadParameter, 400, "Parameter verification failed."), StageClone, nil},
		{"guest speaks of space", errors.New("runner ep-1: write the identity: No space left on device"), StageRegister, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := atFault(tc.err, tc.stage, list); !slices.Equal(got, tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func failedTaskOf(kind proxmox.Kind, text string) error {
	return &proxmox.Error{Kind: kind, Op: "task qmclone on pve1", Message: text}
}

// across is a spec and a world of three nodes, each with its own copy of the template.
func across(jobs int) (Spec, observed) {
	var list []runner.Job
	for i := range jobs {
		list = append(list, job(int64(i+1), "linux"))
	}
	s, o := testSpec(), world(list...)
	s.Nodes = []string{AllNodes}
	several(&o, 3)
	return s, o
}

// clonesOn counts planned clones by node.
func clonesOn(d decision) map[string]int {
	on := map[string]int{}
	for _, a := range d.actions {
		if a.step == StepClone {
			on[a.node]++
		}
	}
	return on
}

func TestCordonedThingGetsNoVMAndThenOneAlone(t *testing.T) {
	all := []thing{{ThingNode, "pve2", ""}, {ThingTemplate, "pve2", "9001"}, {ThingStorage, "pve2", "local-lvm"}}
	for _, cordoned := range all {
		for _, tc := range []struct {
			name  string
			until time.Duration
			trial runner.State // of a runner that was made there since
			most  int
		}{
			{name: "in its time", until: time.Second},
			{name: "afterwards", until: 0, most: 1},
			{name: "while one tries it", until: -time.Minute, trial: runner.Cloning},
			{name: "when that one got past it", until: -time.Minute, trial: runner.Configuring, most: 3},
		} {
			t.Run(cordoned.kind+" "+tc.name, func(t *testing.T) {
				s, o := across(4)
				s.Pools[0].Max, s.MaxRunners = 5, 5
				k := cordon{failures: 3, stage: StageClone, since: noon.Add(-2 * time.Minute), until: noon.Add(tc.until), why: "it fails"}
				o.ledger.cordons[cordoned] = k
				if tc.trial != "" {
					e := o.with(210, "ep", tc.trial)
					e.node, e.template = "pve2", 9001
					if !e.cloned.IsZero() {
						delete(o.ledger.cordons, cordoned) // as judgeThings does
					}
					o.queue.demand.Jobs = append(o.queue.demand.Jobs, job(9, "linux"))
				}
				d := plan(s, o, noon)
				on := clonesOn(d)
				if on["pve2"] > tc.most || tc.most == 1 && on["pve2"] != 1 || on["pve1"]+on["pve2"]+on["pve3"] != 4 {
					t.Errorf("clones on %v, want at most %d on pve2 of four", on, tc.most)
				}
				if tc.until > 0 && (d.again.IsZero() || d.again.After(k.until)) {
					t.Errorf("planned again at %s, want %s", d.again, k.until)
				}
			})
		}
	}
}

// TestCordonsNeverLetTwoVMsTry draws what is cordoned: whatever it is, no plan sends a VM there in its time, nor two
// afterwards.
func TestCordonsNeverLetTwoVMsTry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := across(rapid.IntRange(0, 12).Draw(t, "jobs"))
		s.Pools[0].Max, s.MaxRunners = 12, 12
		for i := range 3 {
			for _, th := range []thing{{ThingNode, nodeName(i), ""}, {ThingTemplate, nodeName(i), strconv.Itoa(9000 + i)}, {ThingStorage, nodeName(i), "local-lvm"}} {
				if rapid.IntRange(0, 2).Draw(t, "cordoned") == 0 {
					o.ledger.cordons[th] = cordon{failures: 3, stage: StageClone, since: noon.Add(-time.Hour), until: noon.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "until")) * time.Minute)}
				}
			}
		}
		for name, n := range clonesOn(plan(s, o, noon)) {
			for th, k := range o.ledger.cordons {
				if th.node == name && (n > 1 || noon.Before(k.until)) {
					t.Fatalf("%d clones on %s, of which %v is cordoned until %s", n, name, th, k.until)
				}
			}
		}
	})
}

func TestJobWaitsForWhatIsCordonedWithItsReason(t *testing.T) {
	s, o := across(1)
	for i := range 3 {
		o.ledger.cordons[thing{ThingNode, nodeName(i), ""}] = cordon{failures: 4, stage: StageStart, since: noon, until: noon.Add(time.Minute), why: "QEMU exited with code 1"}
	}
	d := plan(s, o, noon)
	r := d.waiting[0].Reason
	if r.Code != WaitCordoned || !strings.Contains(r.Text, "pve3: cordoned until 12:01:00 after 4 failed starts: QEMU exited with code 1") || clones(d) != 0 {
		t.Errorf("%d clones, reason %+v", clones(d), r)
	}
	delete(o.ledger.cordons, thing{ThingNode, "pve3", ""})
	o.supply.nodes["pve3"] = node{name: "pve3"}
	if r := plan(s, o, noon).waiting[0].Reason; r.Code != WaitNode {
		t.Errorf("reason %+v with a node that is offline", r)
	}
}

// TestSourceOfTheTemplateIsShunnedForClonesAlone: it has the only copy, on a storage that all nodes share.
func TestSourceOfTheTemplateIsShunnedForClonesAlone(t *testing.T) {
	for stage, want := range map[Stage]int{StageClone: 0, StageStart: 3} {
		s, o := across(3)
		lead := o.supply.templates["tmpl"]
		lead.copies, lead.cfg.Values = nil, map[string]string{"scsi0": "ceph:base-9000-disk-0,size=8G"}
		o.supply.templates["tmpl"] = lead
		for i := range 3 {
			o.supply.spaces[spaceKey(nodeName(i), "ceph", false)] = space{name: "ceph", shared: true, active: true}
		}
		o.ledger.cordons[thing{ThingNode, "pve1", ""}] = cordon{failures: 3, stage: stage, since: noon, until: noon.Add(time.Minute)}
		if on := clonesOn(plan(s, o, noon)); on["pve1"] != 0 || on["pve2"]+on["pve3"] != want {
			t.Errorf("%s: clones on %v, want %d beside pve1", stage, on, want)
		}
	}
}

// striker is a controller of three nodes with nothing but its ledger.
func striker() (*Controller, observed) {
	s, o := across(0)
	return &Controller{spec: s, ledger: o.ledger, seen: o.supply, log: slog.New(slog.DiscardHandler)}, o
}

func TestFailuresInARowCordonAndDoubleTheWait(t *testing.T) {
	c, o := striker()
	pve2 := thing{ThingNode, "pve2", ""}
	now := noon
	fail := func(created time.Time) bool {
		e := o.with(200, "ep", runner.Configuring)
		e.node, e.template, e.created = "pve2", 9001, created
		return c.strike(e, failedTask("start failed: QEMU exited with code 1"), now)
	}
	for n := 1; n < cordonAfter; n++ {
		if now = now.Add(time.Second); fail(now.Add(-time.Second)) || c.ledger.cordons[pve2].closed() {
			t.Fatalf("cordoned after %d failures", n)
		}
	}
	longest := time.Duration(0)
	for n := range 8 {
		if now = now.Add(time.Hour); !fail(now.Add(-time.Second)) {
			t.Fatalf("not cordoned after %d failures", cordonAfter+n)
		}
		wait, full := c.ledger.cordons[pve2].until.Sub(now), min(shortestCordon<<n, longestCordon)
		if wait > full || wait < full*3/4 {
			t.Errorf("left alone for %s after %d failures, want up to a quarter less than %s", wait, cordonAfter+n, full)
		}
		longest = max(longest, wait)
		if before := c.ledger.cordons[pve2]; !fail(now.Add(-time.Minute)) || c.ledger.cordons[pve2] != before {
			t.Errorf("the failure of a runner that was on its way made it longer: %+v", c.ledger.cordons[pve2])
		}
	}
	if longest < longestCordon*3/4 {
		t.Errorf("never longer than %s", longest)
	}
}

func TestOnlyARunnerMadeSinceLiftsACordon(t *testing.T) {
	for _, tc := range []struct {
		name    string
		failed  int
		created time.Duration // after the failure
		started time.Duration // ditto; 0 for not at all
		node    string
		lifted  bool
	}{
		{name: "made since and past it", failed: 3, created: time.Minute, started: 2 * time.Minute, node: "pve2", lifted: true},
		{name: "not past it", failed: 3, created: time.Minute, node: "pve2"},
		{name: "on another node", failed: 3, created: time.Minute, started: 2 * time.Minute, node: "pve1"},
		{name: "made before", failed: 3, created: -time.Minute, started: time.Minute, node: "pve2"},
		{name: "made before, but too few failures yet", failed: 2, created: -time.Minute, started: time.Minute, node: "pve2", lifted: true},
		{name: "past it before", failed: 2, created: -time.Minute, started: -time.Second, node: "pve2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, o := striker()
			pve2 := thing{ThingNode, "pve2", ""}
			k := cordon{failures: tc.failed, stage: StageStart, since: noon}
			if tc.failed >= cordonAfter {
				k.until = noon.Add(shortestCordon)
			}
			c.ledger.cordons[pve2] = k
			e := o.with(200, "ep", runner.Configuring)
			e.node, e.created = tc.node, noon.Add(tc.created)
			if tc.started != 0 {
				e.started = noon.Add(tc.started)
			}
			c.judgeThings()
			if _, known := c.ledger.cordons[pve2]; known == tc.lifted {
				t.Errorf("lifted %v, want %v", !known, tc.lifted)
			}
		})
	}
}

// TestNodeThatIsNotSeenAnyMoreIsBlamedItself: nor is its copy of the template, so that another node's leads.
func TestNodeThatIsNotSeenAnyMoreIsBlamedItself(t *testing.T) {
	c, o := striker()
	lead := c.seen.templates["tmpl"]
	lead.copies = nil
	c.seen.templates["tmpl"] = lead
	e := o.with(200, "ep", runner.Cloning)
	e.node, e.source, e.template = "pve2", "pve2", 9001
	c.strike(e, refused(proxmox.Unavailable, 595, "No route to host"), noon)
	if list := c.ledger.cordoned(); !slices.Equal(list, []thing{{ThingNode, "pve2", ""}}) {
		t.Errorf("blamed %v", list)
	}
}

func TestNothingIsCordonedThatNobodyCanDoWithout(t *testing.T) {
	c, o := striker()
	c.spec.Pools[0].Nodes = []string{"pve2"}
	for range 2 * cordonAfter {
		e := o.with(200, "ep", runner.Configuring)
		e.node, e.created = "pve2", noon
		if c.strike(e, failedTask("start failed: QEMU exited with code 1"), noon) {
			t.Fatal("the pool's only node is cordoned: the pool's own back-off is for that")
		}
	}
}

func TestGuestsThatComeUpElsewhereOnlyCordonTheCopy(t *testing.T) {
	for _, tc := range []struct {
		name     string
		node     string        // where others came up
		up       time.Duration // after the late one was started
		cordoned bool
	}{
		{name: "on another node meanwhile", node: "pve1", up: 20 * time.Second, cordoned: true},
		{name: "on another node before", node: "pve1", up: -20 * time.Second},
		{name: "on the same node", node: "pve2", up: 20 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, o := striker()
			pool := c.spec.Pools[0]
			for i := range cordonAfter {
				e, other := o.with(200+i, "ep", runner.Booting), o.with(210+i, "ep", runner.Idle)
				e.node, e.template = "pve2", 9001
				other.node, other.created, other.ready = tc.node, noon.Add(-time.Hour), e.started.Add(tc.up)
				c.judgeThings()
				c.strikeLate(e, pool, e.started.Add(pool.BootTimeout-time.Second))
				c.strikeLate(e, pool, e.started.Add(pool.BootTimeout))
			}
			k := c.ledger.cordons[thing{ThingTemplate, "pve2", "9001"}]
			if k.closed() != tc.cordoned || tc.cordoned && k.failures != cordonAfter {
				t.Errorf("%+v", k)
			}
		})
	}
}

// TestWarmRunnerIsNotReplacedForACordon: it is of the newest version, which can't be cloned just now, or of the one before,
// which is what can be.
func TestWarmRunnerIsNotReplacedForACordon(t *testing.T) {
	s, o := following()
	o.ledger.cordons[templateThing("pve1", version(9101, ""))] = cordon{failures: 3, since: noon, until: noon.Add(time.Minute)}
	p := planner{s: s, o: o, now: noon}
	p.cordonOff()
	for id, outdated := range map[int]bool{9101: false, 9100: false, 9099: true} {
		if why := p.outOfDate(s.Pools[0], &entry{name: "ep-1", node: "pve1", template: id, created: noon, shape: "any"}); (why != "") != outdated {
			t.Errorf("of VM %d: %q", id, why)
		}
	}
}

func TestCordonsOfWhatIsNoMoreAreForgotten(t *testing.T) {
	for _, tc := range []struct {
		name   string
		of     thing
		change func(*supply)
		gone   bool
	}{
		{"all as it was", thing{ThingNode, "pve2", ""}, func(*supply) {}, false},
		{"node removed", thing{ThingNode, "pve2", ""}, func(o *supply) { delete(o.nodes, "pve2") }, true},
		{"template removed", thing{ThingTemplate, "pve2", "9099"}, func(*supply) {}, true},
		{"template of a node that is off", thing{ThingTemplate, "pve2", "9099"}, func(o *supply) { o.nodes["pve2"] = node{name: "pve2"} }, false},
		{"storage unused for a day", thing{ThingStorage, "", "ceph"}, func(o *supply) { o.at = noon.Add(25 * time.Hour) }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := striker()
			c.ledger.cordons[tc.of] = cordon{failures: 3, since: noon, until: noon.Add(time.Minute)}
			tc.change(&c.seen)
			c.absorbCordons(c.seen)
			if _, known := c.ledger.cordons[tc.of]; known == tc.gone {
				t.Errorf("forgotten %v, want %v", !known, tc.gone)
			}
		})
	}
}
