package fleet

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// Reload has the controller follow another spec from its next pass on. Only Pools, MaxRunners and PollInterval may differ
// from what it follows now: what else differs is named in the error, and nothing has changed then. It returns when the
// new spec is in force, or with the error of ctx, which has to end no later than the one that Run has.
//
// No job is dropped. A runner keeps the deadlines that it was made with, and its shape while a job is on it; one without a
// job goes when its pool makes others now ([planner.misfit]). One that is registered with what its pool no longer has
// (labels, runner group, target) ends when it is idle; a pool that is gone takes its runners along but for those with a
// job, which finish it. A target that no pool has any more is read on until nothing of ours is registered there, runners and
// what outlived its VM.
func (c *Controller) Reload(ctx context.Context, next Spec) error {
	if err := next.check(); err != nil {
		return err
	}
	if err := next.compile(); err != nil {
		return err
	}
	answer := make(chan error, 1)
	c.send(ctx, func(now time.Time) { answer <- c.reload(next, now) })
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("reload: %w", ctx.Err())
	}
}

func (c *Controller) reload(next Spec, now time.Time) error {
	if fixed := fixedFields(c.spec, next); len(fixed) > 0 {
		return fmt.Errorf("reload: %s can't change while the controller runs; restart it", strings.Join(fixed, ", "))
	}
	for _, e := range c.ledger.runners {
		old, known := c.spec.Pool(e.pool)
		if !known {
			continue
		}
		pool, stays := next.Pool(e.pool)
		if e.made == nil && !reflect.DeepEqual(old, pool) {
			e.made = &old
		}
		if e.registration != 0 || e.minting {
			at, _ := c.spec.targetOf(e)
			e.outdated = e.outdated || stays && registersElse(at, old, pool)
		}
	}
	clear(c.ledger.refusals)
	for _, pool := range next.Pools { // what made it fail may be mended
		if old, known := c.spec.Pool(pool.Name); !known || !reflect.DeepEqual(old, pool) {
			delete(c.ledger.backoff, pool.Name)
		}
	}
	leaving := slices.Clone(c.spec.leaving)
	for _, p := range c.spec.Pools {
		for _, t := range p.Targets() {
			leaving = append(leaving, runner.Pool{Target: t, NamePrefix: p.NamePrefix})
		}
	}
	// One by one: steps that run read other fields of it.
	c.spec.Pools, c.spec.MaxRunners = slices.Clone(next.Pools), next.MaxRunners
	c.spec.schedules = next.schedules
	if next.PollInterval > 0 {
		c.spec.PollInterval = next.PollInterval
	}
	c.spec.leaving = leaving // the next reading tells which of them may be forgotten
	c.retarget()
	c.nextLook, c.nextRead = now, now
	return nil
}

// registersElse reports whether a runner of the pool that is registered there would register with something else than it did.
func registersElse(at runner.Target, old, pool runner.Pool) bool {
	return !pool.At(at) || old.GroupID != pool.GroupID || !slices.Equal(old.RegistrationLabels(), pool.RegistrationLabels())
}

// retargeter is a demand source whose targets can change. One that can't is asked for those that it was made with.
type retargeter interface {
	Retarget(targets []runner.Target)
}

// retarget has the source read the targets that there are now.
func (c *Controller) retarget() {
	if source, ok := c.gather.source.(retargeter); ok {
		source.Retarget(c.spec.Targets())
	}
}

// leave forgets the targets that pools have left and where nothing of ours is registered any more.
func (c *Controller) leave() {
	if len(c.spec.leaving) == 0 {
		return
	}
	var left []runner.Pool
	for _, was := range c.spec.leaving {
		same := func(p runner.Pool) bool { return p.At(was.Target) && p.NamePrefix == was.NamePrefix }
		if c.lingers(was.Target) && !slices.ContainsFunc(slices.Concat(c.spec.Pools, left), same) {
			left = append(left, was)
		}
	}
	c.spec.leaving = left
	targets := c.spec.Targets()
	maps.DeleteFunc(c.ledger.orphans, func(_ int64, o orphan) bool { return !slices.Contains(targets, o.target) })
	maps.DeleteFunc(c.ledger.rogues, func(_ int64, r rogue) bool { return !slices.Contains(targets, r.target) })
	c.retarget()
}

// lingers reports whether something of ours may still be registered there. What outlived its VM counts as long as the
// target can be read: an administrator may have taken it from the token, too, and GitHub drops such registrations in time.
func (c *Controller) lingers(t runner.Target) bool {
	for _, e := range c.ledger.runners {
		if known, ok := c.spec.targetOf(e); ok && known == t {
			return true
		}
	}
	for id, r := range c.ledger.removals {
		if _, orphaned := c.ledger.orphans[id]; r.target == t && !orphaned {
			return true // it is given up in time
		}
	}
	for _, o := range c.ledger.orphans {
		if o.target == t && c.queue.failed[t] == nil {
			return true
		}
	}
	return false
}

// targetOf is where the runner is registered, or would be if nobody asked for it elsewhere.
func (s Spec) targetOf(e *entry) (runner.Target, bool) {
	if e.target != (runner.Target{}) {
		return e.target, true
	}
	pool, known := s.poolOf(e)
	return pool.Target, known
}

// poolOf is the pool of a runner: what it registers with as it is now, all else as it was when the runner was made. known
// is false where nobody remembers.
func (s Spec) poolOf(e *entry) (pool runner.Pool, known bool) {
	now, configured := s.Pool(e.pool)
	if e.made == nil {
		return now, configured
	}
	pool = *e.made
	if configured {
		pool.Target, pool.More, pool.Labels, pool.GroupID, pool.Jobs = now.Target, now.More, now.Labels, now.GroupID, now.Jobs
	}
	return pool, true
}

// fixedFields names what differs though it can't change.
func fixedFields(a, b Spec) []string {
	var names []string
	for name, differs := range map[string]bool{
		"the installation": a.Installation != b.Installation, "the node": a.Node != b.Node, "the nodes": !slices.Equal(a.Nodes, b.Nodes), "placement": !reflect.DeepEqual(a.Placement, b.Placement), "the token": a.Token != b.Token,
		"the resource pool": a.ResourcePool != b.ResourcePool, "the VMID range": a.VMIDs != b.VMIDs, "the hand-off": b.Way != "" && a.Way != b.Way,
		"the storage": a.Storage != b.Storage, "GitHub's address": a.WebURL != b.WebURL || a.Hosted != b.Hosted,
	} {
		if differs {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
