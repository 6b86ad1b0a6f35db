package sim

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"mayfly/internal/demand"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// breakageStory is for how long things go wrong in the world of a breakage; one that only the end shows, or a crash loop, has
// a story of its own.
const breakageStory = 15 * time.Minute

// busy makes a world with much to do and without faults, in which only the breakage can be what is wrong.
func busy(s *settings) {
	s.runners, s.pools, s.perHour, s.lasting, s.faults, s.guests = 6, 1, 60, time.Minute, 0, 0
	s.idle, s.spares, s.iso, s.lease = 0, 0, false, false
}

// TestBreakagesAreCaught breaks the dispatcher on purpose, through its seams: a rule that never fails proves nothing.
func TestBreakagesAreCaught(t *testing.T) {
	for _, b := range []struct {
		name   string
		broken breakage
		change func(*settings)
		rule   string // that must catch it
		story  time.Duration
	}{
		{"makes more VMs than it may", overCap, busy, "caps", 45 * time.Minute},
		{"gives a VMID away at once", noRest, busy, "cool-down", 45 * time.Minute},
		{"doesn't deregister", noDeregistration, func(s *settings) { busy(s); s.guests = 50 }, "destroys", 45 * time.Minute},
		{"destroys without a fresh look at the config", staleConfig, busy, "destroys", breakageStory},
		{"destroys a VM that isn't ours", destroysForeign, busy, "untouched", breakageStory},
		{"mints two identities for a VM", mintsTwice, busy, "one identity", breakageStory},
		{"ends jobs that run", impatient, func(s *settings) { busy(s); s.lasting = 5 * time.Minute }, "busy kept", breakageStory},
		{"asks Proxmox for all at once", noGate, func(s *settings) { busy(s); s.runners = 30; s.perHour = 400 }, "in flight", breakageStory},
		{"makes three VMs for a job", threeForOne, busy, "bounded", breakageStory},
		{"forgets its jobs when GitHub can't be read", forgetful, func(s *settings) { busy(s); s.runners, s.events = 1, outOfGitHub }, "demand kept", 30 * time.Minute},
		{"overlooks every third job", overlooks, busy, "explained", 45 * time.Minute},
		{"writes GitHub's token into a VM's notes", leaksIntoNotes, busy, "secrets", breakageStory},
		{"logs an identity", leaksIntoLog, busy, "secrets", breakageStory},
		{"never hands an identity over", noDelivery, func(s *settings) { busy(s); s.runners = 1; s.perHour = 30 }, "served", 3 * time.Minute},
		{"does nothing in its first minute", lateRiser, func(s *settings) { busy(s); s.runners, s.perHour, s.events = 2, 200, loops }, "progress", 40 * time.Minute},
		{"works on when its turn is over", worksOn, takingTurns, "one holder", 45 * time.Minute},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			res := inBubble(t, run{seed: 11, troubled: b.story, broken: b.broken, awaited: b.rule, change: b.change})
			i := slices.IndexFunc(res.violations, func(v violation) bool { return v.rule == b.rule })
			if i < 0 {
				t.Fatalf("rule %q didn't catch it; %s", b.rule, res.report())
			}
			t.Logf("caught by %q: %s", b.rule, res.violations[i].text)
		})
	}
}

// TestUnbrokenWorldsOfTheBreakagesAreFine shows that it is the breakages that are caught.
func TestUnbrokenWorldsOfTheBreakagesAreFine(t *testing.T) {
	for _, r := range []run{
		{seed: 11, troubled: breakageStory, change: busy},
		{seed: 11, troubled: 45 * time.Minute, change: takingTurns},
	} {
		if res := inBubble(t, r); len(res.violations) > 0 {
			t.Error(res.report())
		}
	}
}

// takingTurns makes a busy world of two dispatchers, of which the one that works freezes now and then and loses the lease by it.
func takingTurns(s *settings) { busy(s); s.lease, s.events = true, freezes }

// worksOn has a dispatcher overlook that it has lost the lease.
func worksOn(_ *world, p *process, _ *fleet.Options) { p.term = nil }

func freezes(w *world, born time.Time) []event {
	var list []event
	for i := range 4 {
		list = append(list, freeze(w, born.Add(time.Duration(5+8*i)*time.Minute), strconv.Itoa(i))...)
	}
	return list
}

func overCap(_ *world, _ *process, o *fleet.Options) {
	o.Spec.MaxRunners *= 2
	o.Spec.Pools = slices.Clone(o.Spec.Pools)
	o.Spec.Pools[0].Max *= 2
}

func noRest(w *world, _ *process, o *fleet.Options) {
	o.Spec.VMIDs = fleet.Range{Start: 300, End: 299 + w.runners}
	o.Spec.Timing.Cooldown = 1
}

// brokenGitHub and brokenProxmox are clients of which some methods are replaced.
type brokenGitHub struct {
	fleet.GitHub
	remove func(ctx context.Context, t runner.Target, id int64) error
	byName func(ctx context.Context, t runner.Target, name string) (runner.Registration, error)
	mint   func(ctx context.Context, t runner.Target, name string, labels []string, group int64) (runner.Identity, error)
}

func (b brokenGitHub) RemoveRunner(ctx context.Context, t runner.Target, id int64) error {
	if b.remove == nil {
		return b.GitHub.RemoveRunner(ctx, t, id)
	}
	return b.remove(ctx, t, id)
}

func (b brokenGitHub) RunnerByName(ctx context.Context, t runner.Target, name string) (runner.Registration, error) {
	if b.byName == nil {
		return b.GitHub.RunnerByName(ctx, t, name)
	}
	return b.byName(ctx, t, name)
}

func (b brokenGitHub) CreateJITConfig(ctx context.Context, t runner.Target, name string, labels []string, group int64) (runner.Identity, error) {
	if b.mint == nil {
		return b.GitHub.CreateJITConfig(ctx, t, name, labels, group)
	}
	return b.mint(ctx, t, name, labels, group)
}

type brokenProxmox struct {
	fleet.Proxmox
	config func(ctx context.Context, node string, vmid int) (proxmox.VMConfig, error)
	clone  func(ctx context.Context, node string, template int, o proxmox.CloneOptions) (proxmox.UPID, error)
	delete func(ctx context.Context, node string, vmid int) (proxmox.UPID, error)
}

func (b brokenProxmox) VMConfig(ctx context.Context, node string, vmid int) (proxmox.VMConfig, error) {
	if b.config == nil {
		return b.Proxmox.VMConfig(ctx, node, vmid)
	}
	return b.config(ctx, node, vmid)
}

func (b brokenProxmox) Clone(ctx context.Context, node string, template int, o proxmox.CloneOptions) (proxmox.UPID, error) {
	if b.clone == nil {
		return b.Proxmox.Clone(ctx, node, template, o)
	}
	return b.clone(ctx, node, template, o)
}

func (b brokenProxmox) Delete(ctx context.Context, node string, vmid int) (proxmox.UPID, error) {
	if b.delete == nil {
		return b.Proxmox.Delete(ctx, node, vmid)
	}
	return b.delete(ctx, node, vmid)
}

func noDeregistration(_ *world, _ *process, o *fleet.Options) {
	o.GitHub = brokenGitHub{
		GitHub: o.GitHub,
		remove: func(context.Context, runner.Target, int64) error { return nil },
		byName: func(context.Context, runner.Target, string) (runner.Registration, error) {
			return runner.Registration{}, &github.Error{Kind: github.NotFound}
		},
	}
}

func staleConfig(w *world, _ *process, o *fleet.Options) {
	inner, known := o.Proxmox, map[int]proxmox.VMConfig{}
	o.Proxmox = brokenProxmox{Proxmox: inner, config: func(ctx context.Context, node string, vmid int) (proxmox.VMConfig, error) {
		w.mu.Lock()
		v := w.model.vms[vmid]
		c, ok := known[vmid]
		w.mu.Unlock()
		if ok && v != nil && c.Name == v.name {
			return c, nil
		}
		c, err := inner.VMConfig(ctx, node, vmid)
		if err == nil {
			w.mu.Lock()
			known[vmid] = c
			w.mu.Unlock()
		}
		return c, err
	}}
}

func destroysForeign(_ *world, _ *process, o *fleet.Options) {
	inner := o.Proxmox
	o.Proxmox = brokenProxmox{Proxmox: inner, delete: func(ctx context.Context, node string, vmid int) (proxmox.UPID, error) {
		_, _ = inner.Delete(ctx, node, 222) // it has our tags
		return inner.Delete(ctx, node, vmid)
	}}
}

func mintsTwice(_ *world, _ *process, o *fleet.Options) {
	inner := o.GitHub
	o.GitHub = brokenGitHub{GitHub: inner, mint: func(ctx context.Context, t runner.Target, name string, labels []string, group int64) (runner.Identity, error) {
		_, _ = inner.CreateJITConfig(ctx, t, name+"-2", labels, group)
		return inner.CreateJITConfig(ctx, t, name, labels, group)
	}}
}

func impatient(_ *world, _ *process, o *fleet.Options) {
	o.Spec.Pools = slices.Clone(o.Spec.Pools)
	o.Spec.Pools[0].MaxJobDuration = 30 * time.Second
}

// noGate gives each call a client of its own, so that none knows of the others.
func noGate(w *world, p *process, o *fleet.Options) {
	o.Proxmox = ungated{o.Proxmox, w, p}
}

type ungated struct {
	fleet.Proxmox
	w *world
	p *process
}

func (u ungated) Clone(ctx context.Context, node string, template int, o proxmox.CloneOptions) (proxmox.UPID, error) {
	return u.w.proxmoxClient(u.p).Clone(ctx, node, template, o)
}

func (u ungated) SetConfig(ctx context.Context, node string, vmid int, set map[string]string, del []string, digest string) error {
	return u.w.proxmoxClient(u.p).SetConfig(ctx, node, vmid, set, del, digest)
}

func (u ungated) VMConfig(ctx context.Context, node string, vmid int) (proxmox.VMConfig, error) {
	return u.w.proxmoxClient(u.p).VMConfig(ctx, node, vmid)
}

func (u ungated) Start(ctx context.Context, node string, vmid int) (proxmox.UPID, error) {
	return u.w.proxmoxClient(u.p).Start(ctx, node, vmid)
}

// brokenDemand changes what is read.
type brokenDemand struct {
	demand.Source
	change func(demand.Reading, error) (demand.Reading, error)
}

func (b brokenDemand) Read(ctx context.Context) (demand.Reading, error) {
	return b.change(b.Source.Read(ctx))
}

func threeForOne(_ *world, _ *process, o *fleet.Options) {
	o.Demand = brokenDemand{o.Demand, func(r demand.Reading, err error) (demand.Reading, error) {
		var more []runner.Job
		for _, j := range r.Jobs {
			for i := range int64(3) {
				j.ID += i * 1_000_000
				more = append(more, j)
			}
		}
		r.Jobs = more
		return r, err
	}}
	o.Spec.Pools = slices.Clone(o.Spec.Pools)
	o.Spec.Pools[0].IdleTimeout = time.Minute
}

// outOfGitHub is an outage of GitHub, and loops a crash loop, at a set time.
func outOfGitHub(w *world, born time.Time) []event {
	return []event{{born.Add(10 * time.Minute), "outage", func() { w.outage(toGitHub, kind502, 15*time.Minute) }}}
}

func loops(w *world, born time.Time) []event { return crashLoop(w, born.Add(20*time.Minute), "only") }

func forgetful(_ *world, _ *process, o *fleet.Options) {
	o.Demand = brokenDemand{o.Demand, func(r demand.Reading, err error) (demand.Reading, error) {
		if err != nil || len(r.Partial) > 0 {
			return demand.Reading{At: r.At}, nil //nolint:nilerr // the breakage: an error that lowers demand
		}
		return r, nil
	}}
}

func overlooks(_ *world, _ *process, o *fleet.Options) {
	o.Demand = brokenDemand{o.Demand, func(r demand.Reading, err error) (demand.Reading, error) {
		r.Jobs = slices.DeleteFunc(slices.Clone(r.Jobs), func(j runner.Job) bool { return j.ID%3 == 0 })
		return r, err
	}}
}

func leaksIntoNotes(w *world, _ *process, o *fleet.Options) {
	inner := o.Proxmox
	o.Proxmox = brokenProxmox{Proxmox: inner, clone: func(ctx context.Context, node string, template int, c proxmox.CloneOptions) (proxmox.UPID, error) {
		c.Description += "\n" + w.secrets.github
		return inner.Clone(ctx, node, template, c)
	}}
}

func leaksIntoLog(_ *world, _ *process, o *fleet.Options) {
	inner, log := o.GitHub, o.Logger
	o.GitHub = brokenGitHub{GitHub: inner, mint: func(ctx context.Context, t runner.Target, name string, labels []string, group int64) (runner.Identity, error) {
		id, err := inner.CreateJITConfig(ctx, t, name, labels, group)
		log.Info("minted", "identity", slog.StringValue(id.JITConfig.Reveal()))
		return id, err
	}}
}

// noHandoff says that it has delivered, and has not.
type noHandoff struct{ fleet.Handoff }

func (noHandoff) Deliver(context.Context, handoff.VM, handoff.Order, runner.Identity) error {
	return nil
}

func noDelivery(_ *world, _ *process, o *fleet.Options) { o.Handoff = noHandoff{o.Handoff} }

// lateRiser tells a new process of no job in its first minute.
func lateRiser(_ *world, p *process, o *fleet.Options) {
	o.Demand = brokenDemand{o.Demand, func(r demand.Reading, err error) (demand.Reading, error) {
		if time.Since(p.started) < time.Minute {
			r.Jobs = nil
		}
		return r, err
	}}
}
