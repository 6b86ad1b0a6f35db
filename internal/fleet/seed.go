package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Way is how identities get into guests.
type Way string

// The ways.
const (
	// WayAgent gives a guest that is up its identity through the guest agent.
	WayAgent Way = "agent"
	// WaySnippet gives a VM its identity before it starts, in user-data.
	WaySnippet Way = "snippet"
	// WayAuto is WayAgent where the template's guest agent is on, and WaySnippet elsewhere.
	WayAuto Way = "auto"
)

// seeds reports whether runners of the template get their identity before they start.
func (s Spec) seeds(t template) bool {
	switch s.Way {
	case WaySnippet:
		return true
	case WayAuto:
		return t.id != 0 && !t.cfg.AgentEnabled
	case WayAgent:
	}
	return false
}

// handoffProblem says why a template can't be handed an identity; "" when it can.
func (s Spec) handoffProblem(name string, t template, seeder Seeder) string {
	if s.seeds(t) {
		if seeder == nil {
			return fmt.Sprintf("template %q (VM %d) has no guest agent enabled, and no SNIPPETS_DIR is set; run: qm set %d --agent enabled=1", name, t.id, t.id)
		}
		if err := seeder.CheckVM(t.cfg.Values); err != nil {
			return fmt.Sprintf("template %q (VM %d): %s", name, t.id, err)
		}
		return ""
	}
	if !t.cfg.AgentEnabled {
		return fmt.Sprintf("template %q (VM %d) has no guest agent enabled; run: qm set %d --agent enabled=1", name, t.id, t.id)
	}
	return ""
}

// sayWay tells once for each template which way its runners get their identity, and why.
func (c *Controller) sayWay(o supply) {
	if c.spec.Way != WayAuto {
		return
	}
	for _, name := range sortedKeys(o.templates) {
		t := o.templates[name]
		if t.id == 0 || t.problem != "" {
			continue
		}
		way, why := WayAgent, "the template's guest agent is on"
		if c.spec.seeds(t) {
			way, why = WaySnippet, "the template's guest agent is off"
		}
		if key := "way " + name + string(way); !c.saidOnce[key] {
			c.saidOnce[key] = true
			c.log.Info("handoff chosen", "template", name, "handoff", way, "reason", why)
		}
	}
}

// seed mints an identity and puts it where the VM finds it when it starts. It is minted last before the start, and
// removed when the start task has ended. What undoes it: the VM goes, with the registration and the file.
func (c *Controller) seed(ctx context.Context, a action) outcome {
	cfg, err := c.pve.VMConfig(ctx, a.node, a.vmid)
	if err != nil {
		return c.stepFailed(fmt.Errorf("runner %s: read config of VM %d: %w", a.name, a.vmid, err))
	}
	if err := freshlyOurs(a, cfg); err != nil {
		return c.disowned(err)
	}
	id, err := c.mint(ctx, a)
	if err != nil {
		return c.notMinted(fmt.Errorf("runner %s: mint identity: %w", a.name, err))
	}
	apply := done(func(e *entry, now time.Time) {
		e.seeded = now
		c.recovered(e.pool)
	})
	if err := c.plant(ctx, a, cfg, id); err != nil {
		apply = c.giveUp(fmt.Errorf("runner %s: %w", a.name, err))
	}
	return func(e *entry, now time.Time) {
		e.registration, e.target = id.RegistrationID, a.target
		apply(e, now)
	}
}

// mint makes the identity that the user-data asks for.
func (c *Controller) mint(ctx context.Context, a action) (handoff.SnippetIdentity, error) {
	if c.seeder.Needs() != cloudinit.NeedsRegistrationToken {
		id, err := c.gh.CreateJITConfig(ctx, a.target, a.name, a.pool.RegistrationLabels(), a.pool.GroupID)
		return handoff.SnippetIdentity{Identity: id}, err
	}
	token, err := c.gh.CreateRegistrationToken(ctx, a.target)
	return handoff.SnippetIdentity{Identity: runner.Identity{Name: a.name, MintedAt: time.Now()}, RegistrationToken: token.Token}, err
}

// plant writes the user-data and names it in the VM's config. Both may be repeated.
func (c *Controller) plant(ctx context.Context, a action, cfg proxmox.VMConfig, id handoff.SnippetIdentity) error {
	set, err := c.seeder.Prepare(ctx, handoff.SnippetGuest{
		VM: handoff.VM{Node: a.node, VMID: a.vmid}, User: a.pool.RunnerUser, Labels: a.pool.RegistrationLabels(),
		RepoURL: c.spec.WebURL + "/" + a.target.String(), Config: cfg.Values,
	}, id)
	if err != nil {
		return err
	}
	for {
		err := c.pve.SetConfig(ctx, a.node, a.vmid, set, nil, "")
		if err == nil || !passing(err) {
			return wrap(err, "attach user-data to VM %d", a.vmid)
		}
		select {
		case <-ctx.Done():
			return wrap(err, "attach user-data to VM %d", a.vmid)
		case <-time.After(c.spec.Timing.ProbeRetry):
		}
	}
}

// wrap adds what was tried to an error, if there is one.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// reap removes a runner's user-data: Proxmox has copied it, or never will. It is called from steps, because a network
// mount may hold it.
func (c *Controller) reap(name string) {
	if c.seeder == nil {
		return
	}
	if err := c.seeder.Clear(name); err != nil {
		c.log.Warn("user-data stays", "runner", name, "reason", err)
	}
}

const (
	// sweepEvery is how often user-data that a crash left is looked for.
	sweepEvery = 5 * time.Minute
	// sweepAge is how old it must be: longer than a VM takes from the writing of it to the end of its start.
	sweepAge = 10 * time.Minute
)

// sweep removes user-data whose runner isn't ours any more.
func (c *Controller) sweep(ctx context.Context, now time.Time) {
	if c.seeder == nil || now.Before(c.nextSweep) || c.seen.at.IsZero() || c.seen.err != nil {
		return
	}
	c.nextSweep = now.Add(sweepEvery)
	alive := map[string]bool{}
	for _, e := range c.ledger.runners {
		alive[e.name] = e.started.IsZero() // of one that has started nobody reads it any more
	}
	c.steps.Go(func() {
		removed, err := c.seeder.Sweep(func(name string) bool { return alive[name] }, sweepAge)
		c.send(ctx, func(time.Time) {
			for _, file := range removed {
				c.log.Info("user-data swept", "file", file)
			}
			if err != nil {
				c.log.Warn("user-data not swept", "reason", err)
			}
		})
	})
}

// errSeeder says that a spec asks for a way that the controller wasn't given.
var errSeeder = errors.New("fleet: the snippet hand-off needs a seeder")

var _ Minter = (*github.Client)(nil)
