package gc

import (
	"context"
	"errors"
	"fmt"

	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// vm is a VM of our range, templates left out.
type vm struct {
	id     int
	node   string
	name   string
	status string
	lock   string
	inPool string
	cfg    proxmox.VMConfig
	marker runner.Marker
	claim  error // why it isn't provably ours
	unread error // why its config can't be read
}

// readProxmox lists the VMs of our range with their configs.
func (g *run) readProxmox(ctx context.Context) error {
	all, err := g.o.Proxmox.Resources(ctx)
	if err != nil {
		return err
	}
	status := map[int]proxmox.NodeVM{}
	for _, r := range all {
		if r.Type != "node" || r.Status != "online" {
			continue
		}
		g.nodes = append(g.nodes, r.Node)
		list, err := g.o.Proxmox.NodeVMs(ctx, r.Node)
		if err != nil {
			continue // what is on it is kept
		}
		for _, v := range list {
			status[v.VMID] = v
		}
	}
	for _, r := range all {
		if r.Type != "qemu" || r.Template || status[r.VMID].Template || !g.o.Spec.VMIDs.Contains(r.VMID) {
			continue
		}
		v := vm{id: r.VMID, node: r.Node, name: r.Name, status: status[r.VMID].Status, lock: r.Lock, inPool: r.Pool}
		if v.cfg, v.unread = g.o.Proxmox.VMConfig(ctx, r.Node, r.VMID); v.unread == nil {
			v.name = v.cfg.Name
			v.marker, v.claim = fleet.Claim(g.o.Spec, r.VMID, v.cfg, r.Pool)
		}
		g.vms = append(g.vms, v)
	}
	return nil
}

// suspect is a VM that is to go.
type suspect struct {
	vm      vm
	verdict verdict
	target  runner.Target
	id      int64 // of its registration; 0 when none is known
	asked   bool  // it was its guest that said that it has no job
}

// cleanVMs judges each VM and destroys those without a purpose.
func (g *run) cleanVMs(ctx context.Context) error {
	var suspects []suspect
	doubtful := false
	for _, v := range g.vms {
		switch {
		case v.unread != nil:
			g.tell(g.finding(v, "its config can't be read", Kept, v.unread.Error()))
			continue
		case v.claim != nil:
			g.tell(g.finding(v, "it isn't provably ours: "+v.claim.Error(), Shown, ""))
			continue
		}
		target, reg := g.registrationOf(v.name)
		known := g.facts(ctx, v, reg)
		ruling := judge(known, g.Grace)
		switch ruling.outcome {
		case "":
		case Removed:
			s := suspect{vm: v, verdict: ruling, target: target, asked: known.guest.State != ""}
			if reg != nil {
				s.id = reg.ID
			}
			suspects = append(suspects, s)
			doubtful = doubtful || ruling.confirm
		case Left:
			g.tell(g.finding(v, ruling.why, Left, fmt.Sprintf("on node %s run: qm unlock %d && qm destroy %d --purge", v.node, v.id, v.id)))
		default:
			g.tell(g.finding(v, ruling.why, ruling.outcome, ""))
		}
	}
	if doubtful && !g.DryRun {
		if err := wait(ctx, confirm); err != nil {
			return err
		}
	}
	for _, s := range suspects {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g.remove(ctx, g.finding(s.vm, s.verdict.why, "", ""), func(ctx context.Context) (Outcome, string) { return g.destroy(ctx, s) })
	}
	return nil
}

func (g *run) finding(v vm, why string, o Outcome, detail string) Finding {
	return Finding{Kind: VM, Name: v.name, VMID: v.id, Node: v.node, Since: v.marker.Created, Why: why, Outcome: o, Detail: detail}
}

// facts gathers what judge goes by; the guest is asked only where nothing else tells.
func (g *run) facts(ctx context.Context, v vm, reg *runner.Registration) facts {
	f := facts{age: g.at.Sub(v.marker.Created), status: v.status, lock: v.lock, most: longest(g.o.Spec, v.marker.Pool), unread: g.unread()}
	if reg != nil {
		f.registered, f.online, f.busy, f.unread = true, reg.Online, reg.Busy, nil
		return f
	}
	if f.status == "running" && f.lock == "" && f.unread == nil && f.age >= g.Grace {
		f.guest, f.deaf = g.o.Guests.Probe(ctx, handoff.VM{Node: v.node, VMID: v.id})
	}
	return f
}

// destroy ends a VM as the dispatcher does: whose it is on a config read just before, then its registration, because
// GitHub's refusal is the only word on whether a job has just landed on it, then the VM.
func (g *run) destroy(ctx context.Context, s suspect) (Outcome, string) {
	v := s.vm
	cfg, err := g.o.Proxmox.VMConfig(ctx, v.node, v.id)
	if err != nil {
		if free, freeErr := g.o.Proxmox.VMIDFree(ctx, v.id); freeErr == nil && free {
			return Removed, "somebody else did"
		}
		return Failed, err.Error()
	}
	marker, err := fleet.Claim(g.o.Spec, v.id, cfg, v.inPool)
	switch {
	case err != nil:
		return Kept, "it isn't provably ours any more: " + err.Error()
	case marker.Runner != v.marker.Runner || !marker.Created.Equal(v.marker.Created):
		return Kept, "its VMID is another runner's by now"
	case cfg.Lock != "":
		return Kept, "somebody works on it (lock: " + cfg.Lock + ")"
	}
	outcome, detail := g.deregister(ctx, s)
	if outcome != "" {
		return outcome, detail
	}
	if s.asked {
		guest, err := g.o.Guests.Probe(ctx, handoff.VM{Node: v.node, VMID: v.id})
		if err != nil || guest.State == handoff.Ready || guest.State == handoff.Delivered && guest.JobStarted {
			return Kept, "its guest doesn't say any more that it has no job"
		}
	}
	if v.status == "running" {
		if err := g.order(ctx, v, g.o.Proxmox.Stop); err != nil && !errors.Is(err, proxmox.NotFound) {
			return Failed, "stop it: " + err.Error()
		}
	}
	err = g.order(ctx, v, g.o.Proxmox.Delete)
	if err == nil {
		return Removed, detail
	}
	if free, freeErr := g.o.Proxmox.VMIDFree(ctx, v.id); freeErr == nil && free {
		return Removed, "somebody else did"
	}
	return Failed, "destroy it: " + err.Error()
}

func (g *run) order(ctx context.Context, v vm, ask func(ctx context.Context, node string, vmid int) (proxmox.UPID, error)) error {
	upid, err := ask(ctx, v.node, v.id)
	if err != nil {
		return err
	}
	return g.o.Proxmox.WaitTask(ctx, upid)
}

// deregister makes sure that no job can land on the VM any more. The outcome is "" when that is so. Nothing runs in a VM
// that is powered off, so it doesn't wait for a repository that can't be asked.
func (g *run) deregister(ctx context.Context, s suspect) (outcome Outcome, detail string) {
	targets := []runner.Target{s.target}
	if s.id == 0 {
		targets = g.o.Spec.Targets()
	}
	for _, t := range targets {
		r, err := g.o.GitHub.RunnerByName(ctx, t, s.vm.name)
		switch {
		case errors.Is(err, github.NotFound):
			continue
		case err != nil && s.vm.status == "stopped":
			detail = fmt.Sprintf("its registration may stay at %s, which can't be asked", t)
			continue
		case err != nil:
			return Failed, "ask GitHub for its registration: " + err.Error()
		case r.Busy && s.vm.status != "stopped":
			return Kept, "a job has just landed on it"
		case s.id == 0 && s.vm.status == "running":
			return Kept, "it has just been registered"
		case s.verdict.confirm && r.Online:
			return Kept, "its runner is online again"
		}
		switch err := g.dismiss(ctx, t, r.ID); {
		case errors.Is(err, github.Busy) && s.vm.status != "stopped":
			return Kept, "a job has just landed on it"
		case err != nil && !errors.Is(err, github.NotFound) && !errors.Is(err, github.Busy):
			return Failed, "deregister: " + err.Error()
		}
	}
	return "", detail
}
