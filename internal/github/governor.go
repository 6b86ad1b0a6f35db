package github

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// leastPause follows a secondary limit without Retry-After: "wait at least one minute", doubled each time it
	// goes on (GitHub docs, "Rate limits for the REST API", Handle rate limit errors appropriately).
	leastPause = time.Minute
	maxPause   = 32 * time.Minute
	// afterReset is added to the reset of the hourly budget: it has whole seconds, and their servers don't turn
	// over at one instant.
	afterReset = time.Second
	// sameWindow is how much two resets of one window may differ.
	sameWindow = 5 * time.Second
	// maxPromises bounds how many slots ahead refused mutations are told to come back.
	maxPromises = 60
)

// Budget is what GitHub allows and what is left of it, for requests that count as "core".
type Budget struct {
	// Limit and Remaining are requests of the current hour; both 0 when GitHub told none.
	Limit     int
	Remaining int
	// Reset is when the hour ends, by this machine's clock.
	Reset time.Time
	// PausedUntil is until when lists are held back, zero when they aren't; PausedWhy tells why.
	PausedUntil time.Time
	PausedWhy   string
}

// governor keeps GitHub's limits: the hourly budget with its reserve, secondary limits, and the pace of mutations. It
// never waits; what may not go now is refused with the time when it may.
type governor struct {
	next    http.RoundTripper
	reserve int
	pace    time.Duration
	skew    func() time.Duration

	mu       sync.Mutex
	budgets  map[string]allowance
	inFlight map[string]int
	// registering is the resource that identities and registration tokens count for, as GitHub last named it.
	registering string
	pause       pause
	lastChange  time.Time // the last mutation that went out
	promised    time.Time // the last slot that a refused mutation was told
}

// pause is a secondary limit, which holds for the whole token.
type pause struct {
	since, until time.Time
	why          string
	strikes      int // limits in a row without a good reply between them
}

// refusalError is a request that GitHub's limits or our own forbid.
type refusalError struct {
	until time.Time
	why   string
	reply *replyError // GitHub's, when it was asked
}

func (r *refusalError) Error() string { return r.why }

func newGovernor(next http.RoundTripper, reserve int, pace time.Duration, skew func() time.Duration) *governor {
	return &governor{
		next: next, reserve: max(reserve, 0), pace: max(pace, 0), skew: skew,
		budgets: map[string]allowance{}, inFlight: map[string]int{}, registering: core,
	}
}

func (g *governor) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	resource, refused := g.admit(req, callOf(req), start)
	if refused != nil {
		closeBody(req)
		return nil, refused
	}
	res, err := g.next.RoundTrip(req)
	if err != nil {
		g.mu.Lock()
		g.inFlight[resource]--
		g.mu.Unlock()
		return nil, err
	}
	if refused := g.learn(req, res, resource, start, time.Now()); refused != nil {
		return nil, refused
	}
	return res, nil
}

// registers reports whether a request may count for a resource of its own ("actions_runner_registration" in GET
// /rate_limit of GitHub's OpenAPI description).
func registers(req *http.Request) bool {
	return req.Method == http.MethodPost &&
		(strings.HasSuffix(req.URL.Path, "/generate-jitconfig") || strings.HasSuffix(req.URL.Path, "/registration-token"))
}

// admit counts the request in, or says until when it may not go.
func (g *governor) admit(req *http.Request, state *call, now time.Time) (string, *refusalError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	resource := core
	if registers(req) {
		resource = g.registering
	}
	if now.Before(g.pause.until) {
		return "", &refusalError{until: g.pause.until, why: g.pause.why}
	}
	if r := g.spent(resource, state.class, now); r != nil {
		return "", r
	}
	if state.class == mutation && !state.paced {
		if r := g.outOfStep(now); r != nil {
			return "", r
		}
		g.lastChange, state.paced = now, true
	}
	g.inFlight[resource]++
	return resource, nil
}

// spent refuses what the hourly budget has no room for. What is under way counts as spent.
func (g *governor) spent(resource string, cl class, now time.Time) *refusalError {
	b, known := g.budgets[resource]
	if !known || !now.Before(b.reset) {
		return nil
	}
	left := b.remaining - g.inFlight[resource]
	until := b.reset.Add(afterReset)
	if left <= 0 {
		return &refusalError{until: until, why: fmt.Sprintf("the hourly budget of %d requests is used up", b.limit)}
	}
	keep := g.reserve
	if keep >= b.limit {
		keep = b.limit / 2
	}
	if cl == polling && left <= keep {
		return &refusalError{until: until, why: fmt.Sprintf("%d of %d requests of this hour are left, and %d are kept for runners that need them", left, b.limit, keep)}
	}
	return nil
}

// outOfStep refuses a mutation that comes too soon after the last. Each one refused is told a slot of its own, so that
// they don't all come back at once.
func (g *governor) outOfStep(now time.Time) *refusalError {
	free := g.lastChange.Add(g.pace)
	if g.lastChange.IsZero() || !now.Before(free) {
		return nil
	}
	slot := g.promised.Add(g.pace)
	if slot.Before(free) || slot.After(now.Add(maxPromises*g.pace)) {
		slot = free
	}
	g.promised = slot
	return &refusalError{until: slot, why: fmt.Sprintf("changes go out %s apart, as GitHub asks", g.pace)}
}

// learn takes in what the reply says of limits, and returns the refusal that it is, if it is one.
func (g *governor) learn(req *http.Request, res *http.Response, resource string, start, now time.Time) *refusalError {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight[resource]--
	ahead := g.skew()
	told, a, ok := parseAllowance(res.Header, ahead)
	if ok {
		g.note(told, a)
		if registers(req) {
			g.registering = told
		}
	}
	limited := res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusTooManyRequests
	if !limited {
		if res.StatusCode < http.StatusBadRequest && !start.Before(g.pause.until) {
			g.pause.strikes = 0
		}
		return nil
	}
	r := readReply(res)
	wait, named := parseRetryAfter(res.Header, now, ahead)
	switch {
	case named:
		g.hold(start, now, now.Add(wait), "GitHub asks for a pause"+saying(r))
		return &refusalError{until: g.pause.until, why: g.pause.why, reply: r}
	case ok && a.remaining == 0 && (speaksOfLimits(r) || !r.recognized || r.status == http.StatusTooManyRequests):
		return &refusalError{until: a.reset.Add(afterReset), why: fmt.Sprintf("the hourly budget of %d requests is used up", a.limit), reply: r}
	case speaksOfLimits(r) || r.status == http.StatusTooManyRequests:
		g.strike(start, now, "GitHub's secondary limit"+saying(r))
		return &refusalError{until: g.pause.until, why: g.pause.why, reply: r}
	}
	return nil
}

// note keeps the lowest count of a window: replies overtake each other.
func (g *governor) note(resource string, a allowance) {
	b, known := g.budgets[resource]
	switch {
	case known && a.reset.Before(b.reset.Add(-sameWindow)):
		return
	case known && !a.reset.After(b.reset.Add(sameWindow)):
		a.remaining = min(a.remaining, b.remaining)
	}
	g.budgets[resource] = a
}

// hold pauses everything until a time that GitHub named.
func (g *governor) hold(start, now, until time.Time, why string) {
	if !start.Before(g.pause.since) {
		g.pause.strikes++
	}
	if until.After(g.pause.until) {
		g.pause.until, g.pause.why = until, why
	}
	g.pause.since = now
}

// strike pauses everything for longer each time, but only once for requests that were under way together.
func (g *governor) strike(start, now time.Time, why string) {
	if start.Before(g.pause.since) && now.Before(g.pause.until) {
		return
	}
	d := min(leastPause<<min(g.pause.strikes, 8), maxPause)
	g.hold(start, now, now.Add(d), why)
}

// speaksOfLimits reports whether a 403 or 429 is about limits, and not about permissions: "API rate limit exceeded",
// "You have exceeded a secondary rate limit", "You have triggered an abuse detection mechanism".
func speaksOfLimits(r *replyError) bool {
	m := strings.ToLower(r.message)
	return strings.Contains(m, "rate limit") || strings.Contains(m, "abuse detection") || strings.Contains(r.docs, "rate-limit")
}

func saying(r *replyError) string {
	if r.message == "" {
		return ""
	}
	return ": " + r.message
}

func (g *governor) budget() Budget {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	b := g.budgets[core]
	out := Budget{Limit: b.limit, Remaining: b.remaining, Reset: b.reset}
	if !now.Before(b.reset) {
		out.Remaining = b.limit
	}
	if now.Before(g.pause.until) {
		out.PausedUntil, out.PausedWhy = g.pause.until, g.pause.why
	} else if r := g.spent(core, polling, now); r != nil {
		out.PausedUntil, out.PausedWhy = r.until, r.why
	}
	return out
}
