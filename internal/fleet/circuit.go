package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mayfly/internal/runner"
)

// fault is what is wrong with a template, as its runners showed it.
type fault string

const (
	// faultDeprecated: GitHub refuses the release of the Actions runner in it. One runner that says so is enough.
	faultDeprecated fault = "deprecated"
	// faultUnfit: its guests answer but can't become runners.
	faultUnfit fault = "unfit"
)

const (
	// confirmed is how many failures in a row prove a fault that may be an accident.
	confirmed = 2
	// trialEvery is how often one more runner of a template at fault is tried: GitHub may change its mind.
	trialEvery = time.Hour
)

// circuit is what is known against a template. Losing it in a restart costs a few more clones.
type circuit struct {
	fault    fault
	why      string
	failures int       // in a row
	since    time.Time // of the last of them that counted
	next     time.Time // one more runner may be tried then
	digest   string    // of the template's config
}

// open reports whether the fault is proven.
func (c circuit) open() bool {
	return c.failures >= confirmed || c.fault == faultDeprecated
}

// shuns reports whether another version of the image is better than this one. A release that GitHub refuses is no newer
// in an older version.
func (c circuit) shuns(now time.Time) bool {
	return c.open() && c.fault != faultDeprecated && now.Before(c.next)
}

// bars returns why nothing is cloned from the template; ok is false when it may be.
func (c circuit) bars(t *template) (r Reason, barred bool) {
	if !c.open() {
		return Reason{}, false
	}
	code := WaitUnfit
	if c.fault == faultDeprecated {
		code = WaitDeprecated
	}
	return Reason{code, fmt.Sprintf("nothing is cloned from %s: %s; %s", t.words(), c.why, t.remedy())}, true
}

// words name a template for people.
func (t *template) words() string {
	if t.image.Name != "" {
		return fmt.Sprintf("image %s version %s (VM %d)", t.image.Name, t.image.Version, t.id)
	}
	return fmt.Sprintf("template %q (VM %d)", t.cfg.Name, t.id)
}

// remedy says how a template gets a new release of the Actions runner.
func (t *template) remedy() string {
	if t.image.Name != "" {
		return "run: mayfly image build " + t.image.Name
	}
	return "rebuild the template with the newest Actions runner"
}

// choose returns what the pool's next runner is cloned from: the newest promoted version, unless it can't be used and
// an older one can. The plan's own choice, newestUsable, knows besides what other clones it plans.
func choose(pool runner.Pool, o *supply, l *ledger, now time.Time) (*template, bool) {
	newest, ok := o.base(pool)
	return l.newest(newest, now, func(t *template) bool { return !now.Before(l.cordons[templateThing(t.node, t)].until) }), ok
}

// newest is the newest version on the template's node without a fault that is such a one; the template itself where none is.
func (l *ledger) newest(t *template, now time.Time, such func(*template) bool) *template {
	for v := range t.versions() {
		if v.problem == "" && !l.circuits[v.id].shuns(now) && such(v) {
			return v
		}
	}
	return t
}

// barred says why nothing may be cloned from the template now. When its time has come, one runner is tried, and the
// others wait for what becomes of it.
func (p *planner) barred(t *template) (Reason, bool) {
	c := p.o.ledger.circuits[t.id]
	r, barred := c.bars(t)
	if !barred {
		return Reason{}, false
	}
	if !p.now.Before(c.next) && !p.tried[t.id] {
		return Reason{}, false
	}
	if p.now.Before(c.next) {
		p.wakeAt(c.next)
		r.Text += fmt.Sprintf("; one more runner is tried in %s, or when the template changes", c.next.Sub(p.now).Round(time.Second))
	}
	return r, true
}

// forlorn says why a runner that has no identity yet won't get one: others of its template showed meanwhile that it
// would be of no use.
func (p *planner) forlorn(e *entry) string {
	c := p.o.ledger.circuits[e.template]
	if _, barred := c.bars(&template{}); !barred || !e.delivered.IsZero() || e.created.After(c.since) {
		return ""
	}
	return "its template is at fault: " + c.why
}

// tries notes that a runner of a template at fault was made, so that the next one waits for its time.
func (l *ledger) tries(id int, now time.Time) {
	if c, known := l.circuits[id]; known && c.open() {
		c.next = now.Add(trialEvery)
		l.circuits[id] = c
	}
}

// blame notes what a runner showed of its template. Runners that were on their way together count once.
func (c *Controller) blame(e *entry, f fault, why string, now time.Time) {
	id := e.template
	if id == 0 { // its marker is from before templates were noted
		pool, _ := c.spec.Pool(e.pool)
		id = c.seen.baseOf(e, pool).id
	}
	if id == 0 {
		return
	}
	old := c.ledger.circuits[id]
	k := old
	if k.fault != f {
		k = circuit{fault: f}
	}
	if k.failures == 0 || e.created.After(k.since) {
		k.failures++
		k.why, k.since, k.next, k.digest = why, now, now.Add(trialEvery), c.digestOf(id)
	}
	c.ledger.circuits[id] = k
	if k.open() && (!old.open() || old.fault != f) {
		c.log.Error("template at fault", "template", id, "fault", f, "runner", e.name, "pool", e.pool, "reason", why)
	}
}

// clear forgets what is known against the runner's template: one of its runners has got a job.
func (c *Controller) clear(e *entry) {
	k, known := c.ledger.circuits[e.template]
	if !known {
		return
	}
	delete(c.ledger.circuits, e.template)
	level := slog.LevelDebug
	if k.open() {
		level = slog.LevelInfo
	}
	c.log.Log(context.Background(), level, "template serves again", "template", e.template, "runner", e.name, "pool", e.pool)
}

func (c *Controller) digestOf(id int) string {
	for _, t := range c.seen.templates {
		if v, ok := t.ofVersion(id); ok {
			return v.cfg.Digest
		}
	}
	return ""
}

// absorbTemplates lets one runner be tried of a template at fault that has changed, and forgets those that nobody
// follows any more.
func (c *Controller) absorbTemplates(o supply) {
	for id, k := range c.ledger.circuits {
		digest := c.digestOf(id)
		switch {
		case !c.follows(o, id):
			delete(c.ledger.circuits, id)
		case digest != "" && digest != k.digest:
			k.digest, k.next = digest, o.at
			c.ledger.circuits[id] = k
		}
	}
}

func (c *Controller) follows(o supply, id int) bool {
	for _, p := range c.spec.Pools {
		if o.has(p, id) {
			return true
		}
	}
	return false
}
