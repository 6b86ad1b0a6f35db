package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mayfly/internal/demand"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Options is what a controller is made of.
type Options struct {
	Spec    Spec
	Proxmox Proxmox
	GitHub  GitHub
	Demand  demand.Source
	Handoff Handoff
	// Seeders are needed for WayISO and WaySnippet, each its own; WayAuto uses those that are there.
	Seeders map[Way]Seeder
	// Logger gets one line per state change at info; nil discards.
	Logger *slog.Logger
	// Version goes into every marker.
	Version string
	// Events, when set, hears of every state change. It is called from the controller's goroutine and must not block.
	Events func(Event)
	// Observer, when set, hears of stages, failures and polls, as metrics want them.
	Observer Observer
	// Alone says that something else sees to it that no second process works on the installation while this one runs (a
	// lease), so that the markers of others are those of processes that have ended.
	Alone bool
	// Sequence is for simulations; the zero value is right for all else.
	Sequence Sequence
}

// Controller keeps the fleet. Make one with [New] and give it life with [Controller.Run].
type Controller struct {
	spec     Spec // the owner's; its fields but for those that Reload changes may be read by steps, too
	fixed    Spec // as it was at the start: what a step copies, for what Reload doesn't change
	pve      Proxmox
	gh       GitHub
	handoff  Handoff
	seeders  map[Way]Seeder
	log      *slog.Logger
	version  string
	events   func(Event)
	sequence Sequence

	inbox  chan message
	wake   chan struct{} // holds a token when the way to the end has changed
	ending atomic.Int32  // an ending
	steps  sync.WaitGroup
	tasks  *taskWatch
	gather gatherer
	status atomic.Pointer[Status]
	// process is this one, from the beginning of Run on.
	process runner.Process

	// Everything below belongs to the goroutine of Run.
	ledger      *ledger
	seen        supply
	queue       queue
	queueSeen   bool
	looking     bool // a look at Proxmox is under way
	reading     bool // a reading of GitHub is under way
	nextLook    time.Time
	nextRead    time.Time
	nextSweep   time.Time
	nextDisks   time.Time
	leftDisks   []LeftDisk
	lastRead    time.Time
	scanSince   time.Time // clone tasks since then are still to be found; zero when they were
	startedAt   time.Time
	states      map[int]Event
	saidOnce    map[string]bool
	aged        map[int]int    // how many days old releases were when that was last said, by template
	followed    map[string]int // the template that runners are made from, by runner.Pool.Base
	fatal       error
	proxmox     health
	github      health
	targets     map[runner.Target]health // of GitHub, each one by itself
	configs     map[int]cachedConfig     // of VMs, as steps left them, for the next look
	holding     bool                     // runners wait for their end: said
	lostNetwork bool
	lostTags    bool
	progress    progress
}

// message changes the state of the controller, in its own goroutine.
type message func(now time.Time)

// inboxSize lets a burst of finished steps in without making them wait for a pass.
const inboxSize = 64

// New makes a controller. It does no I/O.
func New(o Options) (*Controller, error) {
	if err := o.Spec.check(); err != nil {
		return nil, err
	}
	if o.Spec.Way == "" {
		o.Spec.Way = WayAgent
	}
	if _, seeds := o.Spec.seeds(&template{}); seeds && o.Seeders[o.Spec.Way] == nil {
		return nil, fmt.Errorf("fleet: the %s hand-off needs a seeder", o.Spec.Way)
	}
	for _, s := range o.Seeders {
		o.Spec.lasting = o.Spec.lasting || s.Lasts()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	o.Sequence = o.Sequence.withDefaults()
	o.Spec.Timing = o.Spec.Timing.withDefaults()
	o.Spec.alone = o.Alone
	if err := o.Spec.compile(); err != nil {
		return nil, err
	}
	if o.Spec.PollInterval <= 0 {
		o.Spec.PollInterval = 15 * time.Second
	}
	c := &Controller{
		spec: o.Spec, fixed: o.Spec, pve: o.Proxmox, gh: o.GitHub, handoff: o.Handoff, seeders: o.Seeders, log: o.Logger, version: o.Version, events: o.Events, sequence: o.Sequence,
		inbox: make(chan message, inboxSize), wake: make(chan struct{}, 1),
		tasks: newTaskWatch(o.Proxmox, o.Spec.Timing.TaskPoll, o.Sequence),
		gather: gatherer{
			spec: o.Spec, pve: o.Proxmox, gh: o.GitHub, source: o.Demand, seeders: o.Seeders,
			configs: map[int]cachedConfig{}, silent: map[string]silence{},
		},
		ledger: newLedger(), configs: map[int]cachedConfig{}, states: map[int]Event{}, saidOnce: map[string]bool{}, followed: map[string]int{}, targets: map[runner.Target]health{},
		progress: newProgress(o.Observer),
	}
	c.status.Store(&Status{Proxmox: Health{Error: "not looked at yet"}, GitHub: Health{Error: "not looked at yet"}})
	return c, nil
}

// Run keeps the fleet until ctx ends, and then waits for the steps in flight, which end with ctx too, or until what
// [Controller.Stop] or [Controller.Drain] ask for has come. Runners stay as they are: the next start finds them. It
// returns nil then, or, within its first look at each side, an error that no
// waiting can mend (a refused token, a template that isn't there).
func (c *Controller) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer c.steps.Wait()
	defer cancel()
	c.startedAt = time.Now()
	c.process = runner.NewProcess(c.startedAt)
	c.ledger.process = c.process
	c.log.Info("mayfly process", "process", c.process.ID, "installation", c.spec.Installation)
	c.scanSince = c.startedAt.Add(-restartWindow)
	c.nextLook, c.nextRead = c.startedAt, c.startedAt
	c.steps.Go(func() { c.tasks.run(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var m message
		select {
		case <-ctx.Done():
			return nil
		case m = <-c.inbox:
		case <-c.wake:
		case <-timer.C:
		}
		c.sequence.Settle()
		if ctx.Err() != nil { // of several that are ready the select takes any
			return nil
		}
		if m != nil {
			m(time.Now())
		}
		c.absorb()
		if c.fatal != nil {
			return c.fatal
		}
		timer.Reset(time.Until(c.pass(ctx)))
		if c.ended() {
			return nil
		}
	}
}

// absorb applies whatever else has come in, so that a burst costs one plan.
func (c *Controller) absorb() {
	for {
		select {
		case m := <-c.inbox:
			m(time.Now())
		default:
			return
		}
	}
}

// pass looks where a look is due, plans and acts. It returns when the next pass is due at the latest.
func (c *Controller) pass(ctx context.Context) time.Time {
	now := time.Now()
	if !c.looking && !now.Before(c.nextLook) {
		c.look(ctx)
	}
	d := decision{}
	if !c.seen.at.IsZero() {
		d = plan(c.spec, observed{supply: c.seen, queue: c.queue, ledger: c.ledger, ending: ending(c.ending.Load())}, now)
		for _, a := range d.actions {
			c.do(ctx, a, now)
		}
		c.ledger.keep(d.kept, now)
	}
	if d.github {
		if early := c.lastRead.Add(c.spec.Timing.Urgent); early.Before(c.nextRead) {
			c.nextRead = early
		}
	}
	// GitHub is read after Proxmox was, never before.
	if !c.reading && !c.seen.at.IsZero() && !now.Before(c.nextRead) {
		c.read(ctx)
	}
	c.sweep(ctx, now)
	c.sweepDisks(ctx, now)
	c.judgeThings()
	c.sayRivals(now)
	c.saySweep(d)
	c.notice(now)
	c.publish(d, now)

	next := now.Add(c.spec.PollInterval)
	for _, t := range []time.Time{c.nextLook, c.nextRead, d.again} {
		if !t.IsZero() && t.Before(next) && t.After(now) {
			next = t
		}
	}
	return next
}

// look starts a look at Proxmox.
func (c *Controller) look(ctx context.Context) {
	c.looking = true
	c.gather.spec = c.spec // nobody else reads it now
	since, hidden, fresh := c.scanSince, c.ledger.hiddenQuarantine(), c.configs
	c.configs = map[int]cachedConfig{}
	c.steps.Go(func() {
		c.gather.keep(fresh)
		c.sequence.Turn(ctx, "look")
		o := c.gather.supply(ctx, since, hidden)
		c.send(ctx, func(now time.Time) {
			c.looking = false
			if o.err == nil && !o.unsure && c.scanSince.Equal(since) {
				c.scanSince = time.Time{} // those of since then are found; a later wish stays
			}
			c.tookSupply(o, now) // first: it tells whether the next one has to wait for a side that fails
			c.nextLook = now.Add(c.lookInterval())
			if o.unsure {
				c.nextLook = now.Add(c.spec.Timing.TaskPoll)
			}
		})
	})
}

// lookInterval is how long to wait between two looks at Proxmox.
func (c *Controller) lookInterval() time.Duration {
	if n := c.proxmox.failures - 1; n > 0 { // the first may be a moment's: the next look comes when it would have
		return c.retryAfter(n)
	}
	if len(c.ledger.runners) > 0 {
		return c.spec.Timing.Supply
	}
	return c.spec.Timing.SupplyIdle
}

// maxRetry bounds the wait between two looks at a side that doesn't answer: when it comes back, jobs have waited.
const maxRetry = 30 * time.Second

func (c *Controller) retryAfter(failures int) time.Duration {
	return min(deferred(c.spec.Timing, failures), maxRetry)
}

func (c *Controller) tookSupply(o supply, now time.Time) {
	c.progress.polled(o.err == nil, now)
	if o.err != nil {
		c.seen.err = o.err
		if c.seen.at.IsZero() {
			c.seen = o
		}
		c.log.Log(context.Background(), newsLevel(c.proxmox.fail(o.err, now)), "proxmox unreachable", "reason", o.err, "failures", c.proxmox.failures)
		c.endIfHopeless(c.proxmox, o.err)
		return
	}
	first := c.proxmox.lastOK.IsZero()
	if c.proxmox.ok(now) {
		c.log.Info("proxmox answers")
	}
	c.ledger.restVacated(c.seen, o)
	c.seen = o
	c.ledger.absorbRivals(c.spec, o)
	c.replaced(o, now)
	c.ledger.absorbSupply(c.spec, o)
	c.sayWay(o)
	c.absorbTemplates(o)
	c.absorbCordons(o)
	c.quarantineLocked(o, now)
	c.disownEdited(o, now)
	c.watchHalted(o, now)
	c.noticeAt(o.at)
	if !first {
		return
	}
	for _, name := range sortedKeys(o.templates) {
		if t := o.templates[name]; t.id == 0 && t.code == "" { // an image may be promoted any time
			c.fatal = errors.New(t.problem)
			return
		}
	}
	if c.spec.Way == WayISO && o.means.iso != "" {
		c.fatal = fmt.Errorf("start: handoff iso: %s", o.means.iso)
	}
}

// newsLevel keeps a trouble that goes on from filling the log.
func newsLevel(news bool) slog.Level {
	if news {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// endIfHopeless ends Run for what no waiting mends, but only before that side has ever answered: a fleet that once ran
// keeps its runners and says what is wrong.
func (c *Controller) endIfHopeless(side health, err error) {
	if hopeless(err) && side.lastOK.IsZero() {
		c.fatal = fmt.Errorf("start: %w", err)
	}
}

// hopeless reports whether no waiting mends that.
func hopeless(err error) bool {
	for _, kind := range []error{
		proxmox.Unauthorized, proxmox.Permission, proxmox.Untrusted, errNoNode, github.Unauthorized, github.Permission, github.NotFound,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// send hands a message to the owner, or drops it when the controller ends.
func (c *Controller) send(ctx context.Context, m message) {
	select {
	case c.inbox <- m:
	case <-ctx.Done():
	}
}
