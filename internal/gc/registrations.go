package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/github"
	"mayfly/internal/runner"
)

// readGitHub lists the registrations of all targets. It comes before Proxmox is read: a VM is there before its
// registration is, so that one that was seen and has no VM afterwards has lost it.
func (g *run) readGitHub(ctx context.Context) {
	g.regs, g.problems = map[runner.Target][]runner.Registration{}, map[runner.Target]error{}
	for _, t := range g.o.Spec.Targets() {
		list, err := g.o.GitHub.Runners(ctx, t)
		if err != nil {
			g.problems[t] = err
			continue
		}
		g.regs[t] = list
	}
}

// unread is why not all registrations are known, of each target that couldn't be read; nil when they are.
func (g *run) unread() error {
	var all error
	for _, t := range g.o.Spec.Targets() {
		switch err := g.problems[t]; {
		case err == nil:
		case all == nil:
			all = fmt.Errorf("read registrations of %s: %w", t, err)
		default:
			all = fmt.Errorf("%w; and of %s: %w", all, t, err)
		}
	}
	return all
}

// registrationOf finds the registration of a runner; nil when the lists have none.
func (g *run) registrationOf(name string) (runner.Target, *runner.Registration) {
	for _, t := range g.o.Spec.Targets() {
		for i, r := range g.regs[t] {
			if r.Name == name {
				return t, &g.regs[t][i]
			}
		}
	}
	return runner.Target{}, nil
}

// lone is a registration of ours that has no VM.
type lone struct {
	target runner.Target
	reg    runner.Registration
}

// cleanRegistrations removes registrations that are provably ours, offline, and without a VM. GitHub doesn't tell how old
// one is, so it is looked at twice.
func (g *run) cleanRegistrations(ctx context.Context) error {
	inUse := map[string]bool{}
	blind := ""
	for _, v := range g.vms {
		inUse[v.name] = true
		if v.unread != nil {
			blind = fmt.Sprintf("it may be VM %d's, whose config can't be read", v.id)
		}
	}
	var list []lone
	for _, t := range g.o.Spec.Targets() {
		for _, r := range g.regs[t] {
			if g.o.Spec.Registered(t, r) && !r.Online && !r.Busy && !inUse[r.Name] {
				list = append(list, lone{t, r})
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	if !g.DryRun && blind == "" {
		if err := wait(ctx, confirm); err != nil {
			return err
		}
	}
	for _, l := range list {
		f := Finding{Kind: Registration, Name: l.reg.Name, Target: l.target.String(), Why: "it is offline and has no VM"}
		if blind != "" {
			f.Outcome, f.Detail = Kept, blind
			g.tell(f)
			continue
		}
		g.remove(ctx, f, func(ctx context.Context) (Outcome, string) { return g.removeRegistration(ctx, l) })
	}
	return nil
}

func (g *run) removeRegistration(ctx context.Context, l lone) (Outcome, string) {
	now, err := g.o.GitHub.Runner(ctx, l.target, l.reg.ID)
	switch {
	case errors.Is(err, github.NotFound):
		return Removed, "somebody else did"
	case err != nil:
		return Failed, err.Error()
	case now.Online || now.Busy:
		return Kept, "it is online again"
	}
	switch err := g.dismiss(ctx, l.target, l.reg.ID); {
	case err == nil, errors.Is(err, github.NotFound):
		return Removed, ""
	case errors.Is(err, github.Busy):
		return Kept, "GitHub says that it has a job"
	default:
		return Failed, err.Error()
	}
}

// soon is how long a change waits for the client's own pace, which is seconds. GitHub's limits are minutes.
const soon = 10 * time.Second

// dismiss removes a registration, when GitHub wants changes to go out.
func (g *run) dismiss(ctx context.Context, t runner.Target, id int64) error {
	for {
		err := g.o.GitHub.RemoveRunner(ctx, t, id)
		var limited *github.Error
		if !errors.Is(err, github.RateLimited) || !errors.As(err, &limited) || time.Until(limited.RetryAt) > soon {
			return err
		}
		if err := wait(ctx, time.Until(limited.RetryAt)); err != nil {
			return err
		}
	}
}

// showRogues tells of registrations that aren't ours and concern us all the same.
func (g *run) showRogues() {
	vms := map[string]bool{}
	for _, v := range g.vms {
		vms[v.name] = v.claim == nil && v.unread == nil
	}
	for _, t := range g.o.Spec.Targets() {
		for _, r := range g.regs[t] {
			if why := g.o.Spec.Rogue(t, r); why != "" && !vms[r.Name] {
				g.tell(Finding{Kind: Rogue, Name: r.Name, Target: t.String(), Why: why, Outcome: Shown})
			}
		}
	}
}
