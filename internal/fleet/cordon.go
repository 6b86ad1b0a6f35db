package fleet

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"mayfly/internal/runner"
)

const (
	// cordonAfter is how many failures in a row cordon a thing: two may be accidents, and each costs a job some seconds.
	cordonAfter = 3
	// shortestCordon and longestCordon bound how long a thing is left alone before one VM tries it again, doubled each time that
	// VM fails, too. What was mended is in use again a quarter of an hour later at the latest, and what stays broken costs four
	// failed VMs an hour.
	shortestCordon = 30 * time.Second
	longestCordon  = 15 * time.Minute
	// forgetAfter is when failures are forgotten of what no runner has needed since.
	forgetAfter = 24 * time.Hour
	// cordonSteps is how finely the part of a wait is drawn that keeps things that broke together from being tried together.
	cordonSteps = 1 << 16
)

// cordon is what is known against a thing. Losing it in a restart costs cordonAfter more failures.
type cordon struct {
	failures int       // in a row
	stage    Stage     // of the last of them; a runner that gets past it proves the thing
	since    time.Time // of the last that counted
	until    time.Time // nothing goes there before; zero while the failures are too few
	why      string
}

// closed reports whether the thing is cordoned: until its time is over, and from then on until one VM has done well there.
func (k cordon) closed() bool { return !k.until.IsZero() }

// past are the words for failures of a stage.
func (k cordon) what() string {
	switch k.stage {
	case StageClone:
		return "failed clones"
	case StageStart:
		return "failed starts"
	case StageBoot, StageConnect:
		return "guests that didn't come up"
	case StageSee, StageQueue, StageConfigure, StageRegister, StageAssign, StageJob, StageDestroy:
	}
	return "failures"
}

// words say for people why nothing goes there.
func (k cordon) words(t thing, now time.Time) string {
	if now.Before(k.until) {
		return fmt.Sprintf("%scordoned until %s after %d %s: %s", t.words(), k.until.Format("15:04:05"), k.failures, k.what(), k.why)
	}
	return fmt.Sprintf("%scordoned after %d %s until one VM has done well there: %s", t.words(), k.failures, k.what(), k.why)
}

// cordonFor is how long a thing is left alone after so many failures in a row. A quarter of it at most is chance, from a
// hash: simulations must repeat exactly.
func cordonFor(t thing, failures int) time.Duration {
	wait := shortestCordon
	for i := cordonAfter; i < failures && wait < longestCordon; i++ {
		wait *= 2
	}
	wait = min(wait, longestCordon)
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.kind + " " + t.node + " " + t.name + " " + strconv.Itoa(failures)))
	return wait - wait/4*time.Duration(h.Sum64()%cordonSteps)/cordonSteps
}

// concerns reports whether what is known against a thing is about a runner that needs it. Of a node that only does the
// cloning for another one, and of its template, nothing but clones is.
func (k cordon) concerns(t thing, list []thing) bool {
	i := slices.Index(list, t)
	return i >= 0 && (i < ownThings || t.kind == ThingStorage || k.stage == StageClone)
}

// reached is when the runner got past the stage; zero while it hasn't. Some stages are skipped: then a later one tells.
func (e *entry) reached(s Stage) time.Time {
	past := false
	for _, m := range e.life() {
		if past = past || m.stage == s; past && !m.at.IsZero() {
			return m.at
		}
	}
	return time.Time{}
}

// onTrial reports whether the runner is the one that shows whether a cordoned thing works again, and hasn't shown it yet.
func (e *entry) onTrial(k cordon) bool {
	return k.closed() && e.created.After(k.since) && e.reached(k.stage).IsZero() && e.failed == "" && e.stopped.IsZero() && e.ends == ""
}

// cordonOff notes what nothing may go to now: what is cordoned, and what one VM is trying again.
func (p *planner) cordonOff() {
	if len(p.o.ledger.cordons) == 0 {
		return
	}
	p.shunned = map[thing]string{}
	for t, k := range p.o.ledger.cordons {
		if k.closed() && p.now.Before(k.until) {
			p.shunned[t] = k.words(t, p.now)
			p.wakeAt(k.until)
		}
	}
	for _, e := range p.runners {
		list := p.o.supply.needs(p.s, e)
		for _, t := range list {
			if k := p.o.ledger.cordons[t]; e.onTrial(k) && k.concerns(t, list) && !p.now.Before(k.until) {
				p.shunned[t] = k.words(t, p.now)
			}
		}
	}
}

// tryAgain notes that a planned runner tries what was cordoned, so that no other goes there. It reports whether it does.
func (p *planner) tryAgain(list []thing) bool {
	tries := false
	for _, t := range list {
		if k := p.o.ledger.cordons[t]; k.closed() && k.concerns(t, list) {
			p.shunned[t] = k.words(t, p.now)
			tries = true
		}
	}
	return tries
}

// shut says why a runner that needs those things can't be made now; "" when it can.
func (p *planner) shut(list []thing) string {
	if len(p.shunned) == 0 {
		return ""
	}
	for _, t := range list {
		if why := p.shunned[t]; why != "" && p.o.ledger.cordons[t].concerns(t, list) {
			return why
		}
	}
	return ""
}

// strike counts a runner's failure against what is at fault, where runners can do without it. It reports whether that is
// cordoned now; until then, and where nothing is known to be at fault, the pool has to wait.
func (c *Controller) strike(e *entry, err error, now time.Time) bool {
	stage := e.now()
	cordoned := false
	for _, t := range atFault(err, stage, c.seen.needs(c.spec, e)) {
		if c.replaceable(e, t.kind) {
			c.strikeThing(t, e, stage, err.Error(), now)
			cordoned = cordoned || c.ledger.cordons[t].closed()
		}
	}
	return cordoned
}

// replaceable reports whether runners of the pool can do without the runner's node and what is on it, or its template.
func (c *Controller) replaceable(e *entry, kind string) bool {
	pool, known := c.spec.poolOf(e)
	if !known {
		return false
	}
	if kind == ThingTemplate && len(c.seen.templates[pool.Base()].older) > 0 {
		return true
	}
	nodes := 0
	for name := range c.seen.nodes {
		nodes += boolInt(pool.RunsOn(name))
	}
	return nodes > 1 && !c.spec.lone()
}

// strikeThing counts one failure. Those of runners that were on their way when it was cordoned don't make it longer.
func (c *Controller) strikeThing(t thing, e *entry, stage Stage, why string, now time.Time) {
	k := c.ledger.cordons[t]
	if k.closed() && !e.created.After(k.since) {
		return
	}
	was := k.closed()
	k.failures++
	k.stage, k.since, k.why = stage, now, why
	if k.failures >= cordonAfter {
		k.until = now.Add(cordonFor(t, k.failures))
	}
	c.ledger.cordons[t] = k
	if k.closed() && !was {
		c.log.Error("cordoned", "kind", t.kind, "node", t.node, "name", t.name, "failures", k.failures, "until", k.until, "runner", e.name, "pool", e.pool, "reason", why)
	}
}

// strikeLate counts a guest that didn't come up in its time against its template's copy, where guests of the same template
// did meanwhile on another node: else nobody knows what is at fault.
func (c *Controller) strikeLate(e *entry, pool runner.Pool, now time.Time) {
	stage := e.now()
	late := stage == StageBoot && !now.Before(e.started.Add(pool.BootTimeout)) ||
		stage == StageConnect && !e.seeded.IsZero() && !now.Before(e.started.Add(pool.BootTimeout+c.spec.Timing.Register))
	if pool.Name == "" || e.started.IsZero() || e.failed != "" || !late || !e.stopped.IsZero() || !e.finished.IsZero() {
		return
	}
	for at, last := range c.ledger.booted {
		if at.base == pool.Base() && at.node != e.node && last.After(e.started) {
			t := templateThing(e.node, c.seen.baseOf(e, pool))
			c.strikeThing(t, e, stage, cmp.Or(e.lastWord, "its guest didn't come up, while others on another node did"), now)
			return
		}
	}
}

// bootedOn is where guests of a pool's template or image came up.
type bootedOn struct{ base, node string }

// judgeThings learns from what runners have reached: where guests come up, and which things work again. Of one that is
// cordoned only a runner that was made since then proves anything.
func (c *Controller) judgeThings() {
	for _, id := range sortedKeys(c.ledger.runners) {
		e := c.ledger.runners[id]
		if e.adopted {
			continue // its times are guesses
		}
		if up := cmp.Or(e.ready, e.online); !up.IsZero() && !c.spec.lone() {
			pool, _ := c.spec.poolOf(e)
			at := bootedOn{pool.Base(), e.node}
			c.ledger.booted[at] = later(c.ledger.booted[at], up)
		}
		if len(c.ledger.cordons) == 0 {
			continue
		}
		list := c.seen.needs(c.spec, e)
		for _, t := range list {
			k, known := c.ledger.cordons[t]
			if proved := e.reached(k.stage); !known || !k.concerns(t, list) || !proved.After(k.since) || k.closed() && !e.created.After(k.since) {
				continue
			}
			c.lift(t, "runner", e.name)
		}
	}
}

func (c *Controller) lift(t thing, because ...any) {
	k := c.ledger.cordons[t]
	delete(c.ledger.cordons, t)
	if k.closed() {
		c.log.Info("cordon lifted", append([]any{"kind", t.kind, "node", t.node, "name", t.name, "failures", k.failures}, because...)...)
	}
}

// absorbCordons forgets what is no more, and what nobody has needed for long.
func (c *Controller) absorbCordons(o supply) {
	for _, t := range c.ledger.cordoned() {
		k := c.ledger.cordons[t]
		id, _ := strconv.Atoi(t.name)
		_, there := o.nodes[t.node]
		gone := t.node != "" && !there && !c.spec.lone() || t.kind == ThingTemplate && o.reachable(t.node) && !c.follows(o, id)
		if gone || o.at.Sub(later(k.since, k.until)) > forgetAfter {
			c.lift(t, "reason", "it is no more, or nobody has needed it for long")
		}
	}
}

// cordoned lists what anything is known against, in a fixed order.
func (l *ledger) cordoned() []thing {
	list := make([]thing, 0, len(l.cordons))
	for t := range l.cordons {
		list = append(list, t)
	}
	slices.SortFunc(list, thing.compare)
	return list
}

// CordonStatus is a node, a storage or a template's copy that nothing goes to for a while, because VMs kept failing there.
type CordonStatus struct {
	Kind string `json:"kind"` // ThingNode, ThingStorage or ThingTemplate
	// Node is "" for a storage that nodes share; Name is that of a storage, or a template's VMID.
	Node string `json:"node,omitempty"`
	Name string `json:"name,omitempty"`
	// Failures is how many there were in a row; Since is when the last was, and Until is when one VM tries it again.
	Failures int       `json:"failures"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Reason   string    `json:"reason"`
}

// cordonStatus lists what is cordoned.
func (c *Controller) cordonStatus() []CordonStatus {
	list := []CordonStatus{}
	for _, t := range c.ledger.cordoned() {
		if k := c.ledger.cordons[t]; k.closed() {
			list = append(list, CordonStatus{
				Kind: t.kind, Node: t.node, Name: t.name, Failures: k.failures, Since: k.since, Until: k.until, Reason: k.why,
			})
		}
	}
	return list
}
