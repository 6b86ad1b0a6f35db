package sim

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	standin "mayfly/internal/sim/world"
)

// world is one simulated installation. It lives in a synctest bubble.
type world struct {
	seed uint64
	settings
	spec      fleet.Spec
	ctx       context.Context
	conductor *conductor
	plan      *faultPlan
	trace     *trace
	log       *journal
	gh        *gh.Server
	pve       *pve.Server
	guests    *standin.Guests
	model     *model
	rules     []rule
	broken    breakage
	out       outages
	dead      map[string]bool // the nodes without power
	secrets   tokens
	awaited   string
	gen       int
	proc      *process // the one that works, where two take turns
	other     *process // the one that stands by then
	jobs      int
	killed    int // workers, each of which may leave a VM that no token can remove
	grabs     int // clones whose VMIDs are to be taken by somebody else
	// cutOff is until when no guest reaches GitHub, and refused until when GitHub refuses the guests' release of the Actions
	// runner; in nanoseconds since 1970.
	cutOff, refused atomic.Int64
	// hindered is until when runners can't be made somewhere, as far as a trouble knows.
	hindered time.Time

	mu         sync.Mutex
	violations []violation
}

// tokens are what the dispatcher proves itself with.
type tokens struct{ github, proxmox string }

// violation is a rule that didn't hold.
type violation struct {
	rule, text string
	at         time.Duration // since the world's beginning
}

// breakage changes a process of the dispatcher so that it misbehaves.
type breakage func(w *world, p *process, o *fleet.Options)

// run says how a world is to be run.
type run struct {
	seed     uint64
	troubled time.Duration
	only     []string // nil, or the only faults that may happen
	broken   breakage
	awaited  string // the rule whose violation ends the world at once; "" for none
	keep     bool   // the trace's lines
	change   func(*settings)
}

// result is what became of a world.
type result struct {
	run        run
	settings   settings
	lived      time.Duration
	jobs       int
	calls      int
	violations []violation
	fired      []string
	cover      map[string]int
	called     map[string]int
	digest     string
	lines      []string
	log        string
}

// live makes the world of a seed, lets it live to its end and tells what became of it. It must be called in a bubble.
func live(t *testing.T, r run) result {
	time.Sleep(time.Until(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))) // bubbles begin in the year 2000
	s := settingsOf(r.seed, r.troubled)
	if r.change != nil {
		r.change(&s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	born := time.Now()
	w := &world{
		seed: r.seed, settings: s, spec: s.spec(), ctx: ctx, conductor: newConductor(), broken: r.broken, awaited: r.awaited,
		plan: newFaultPlan(r.seed, s.faults, born.Add(s.troubled), r.only), trace: newTrace(r.keep), log: &journal{}, out: outages{}, dead: map[string]bool{},
	}
	w.model, w.rules = newModel(w), allRules(w)
	w.gh = gh.New(gh.Options{Seed: r.seed, AssignDelay: s.assign, OldestRunner: newRelease})
	w.guests = standin.NewGuests(standin.GuestOptions{
		Seed: r.seed, Boot: s.boot, Shutdown: 2 * time.Second, Transport: &link{w: w, side: fromGuest, next: w.gh.RoundTripper()}, Behave: w.behave, VersionOf: w.releaseOf,
	})
	w.pve = pve.New(w.cluster())
	w.spec.Token, w.secrets = w.pve.Info().TokenID, tokens{w.gh.Info().Token, w.pve.Info().TokenSecret}
	if w.iso {
		w.spec.Token, w.secrets.proxmox = mediaToken, mediaSecret
	}
	w.story()
	w.endAll()
	cancel()
	w.pve.Close()
	w.guests.Close()
	w.gh.Close()
	w.conductor.close()
	if tied := w.conductor.tied(); tied != "" {
		w.violated("determinism", "%s", tied)
	}
	w.plan.mu.Lock()
	defer w.plan.mu.Unlock()
	calls := 0
	for _, n := range w.plan.calls {
		calls += n
	}
	return result{
		run: r, settings: s, lived: time.Since(born), jobs: w.jobs, calls: calls, violations: w.violations, fired: slices.Clone(w.plan.fired),
		cover: w.plan.cover, called: w.plan.calls, digest: w.trace.digest(), lines: w.trace.lines, log: w.log.String(),
	}
}

// cluster is the stand-in's side of the settings.
func (w *world) cluster() pve.Options {
	o := pve.Options{Seed: w.seed, Nodes: w.nodes, Engine: w.guests, Watch: w.changed}
	if w.lease {
		o.Lease = leaseMapping
	}
	if w.shared {
		o.TemplateStorage = sharedStorage
		o.Storages = []pve.Storage{{ID: sharedStorage, Type: "rbd", Content: []string{"images"}, Shared: true}}
	}
	if w.iso {
		o.CloudInitDrive, o.TemplateAgentOff = true, true
		o.Roles = []pve.Role{{Name: "Media", Privileges: []string{"Datastore.Audit", "Datastore.AllocateTemplate", "Datastore.Allocate"}}}
		o.Tokens = []pve.Token{{ID: mediaToken, Secret: mediaSecret, Roles: map[string]string{
			"/pool/ci": "CIRunnerVM", "/pool/ci-templates": "PVETemplateUser", "/storage/local-lvm": "CIRunnerDS",
			"/storage/" + mediaStorage: "Media", "/sdn/zones/localnetwork/vmbr0": "PVESDNUser", "/nodes": "CIRunnerNode",
		}}}
	}
	return o
}

// turn gives a call its instant; a frozen process gets none before it thaws.
func (w *world) turn(ctx context.Context, p *process, key string) error {
	err := w.conductor.turn(ctx, key)
	if p != nil && time.Now().UnixNano() < p.frozen.Load() {
		p.thaw(ctx, 0)
		if err == nil {
			err = w.conductor.turn(ctx, key)
		}
	}
	return err
}

// behave makes some guests bad ones.
func (w *world) behave(m pve.Machine) standin.Behaviour {
	if chance(w.seed, "bad guest", m.Name)*100 >= float64(w.settings.guests) || !time.Now().Before(w.plan.until) {
		return standin.Normal
	}
	b := misbehaviours[between(0, len(misbehaviours)-1, w.seed, "which bad guest", m.Name)]
	if !w.plan.trouble("guest "+b.String(), m.Name) {
		return standin.Normal
	}
	w.model.bad(m.Name)
	return b
}

// began and ended tell the rules of a call.
func (w *world) began(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.model.began(c)
	for _, r := range w.rules {
		r.began(c)
	}
}

func (w *world) ended(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	class := ""
	if c.err != nil {
		class = " error"
	}
	w.trace.add("%d %s %s %s -> %d%s %s", c.gen, c.side, c.method, c.path, c.status, class, c.fault)
	w.model.ended(c)
	for _, r := range w.rules {
		r.ended(c)
	}
}

// changed tells the rules what became of a VM.
func (w *world) changed(c pve.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace.add("vm %d %s", c.VMID, c.Kind)
	w.model.changed(c)
	for _, r := range w.rules {
		r.changed(c)
	}
}

// maxViolations keeps a world that is all wrong readable.
const maxViolations = 10

// violated notes a rule that didn't hold. The caller need not hold mu, and may.
func (w *world) violated(rule, format string, args ...any) {
	v := violation{rule: rule, text: fmt.Sprintf(format, args...), at: time.Since(w.trace.born)}
	w.trace.add("VIOLATED %s: %s", v.rule, v.text)
	if len(w.violations) < maxViolations {
		w.violations = append(w.violations, v)
	}
}

// goesWrong says how a call goes wrong.
func (w *world) goesWrong(c *call) kind {
	w.mu.Lock()
	o := w.out[c.side]
	w.mu.Unlock()
	if time.Now().Before(o.till) {
		return o.how
	}
	return w.plan.decide(c)
}

// caught reports whether the rule that the run waits for was violated.
func (w *world) caught() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.violations, func(v violation) bool { return v.rule == w.awaited })
}

func (w *world) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("seed %d: %v", w.seed, err))
	}
}

// pick chooses one of several by the seed.
func pick[T any](seed uint64, what string, from ...T) T {
	return from[between(0, len(from)-1, seed, what)]
}
