package gh

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FaultSpec says which requests go wrong and how. Its JSON is the body of POST /_sim/faults.
type FaultSpec struct {
	Match FaultMatch `json:"match"`
	// Kind is one of [FaultKinds].
	Kind string `json:"fault"`
	// Message replaces the message of an error reply.
	Message string `json:"message,omitempty"`
	// DelayMS is how long "delay" waits, in milliseconds; other kinds wait so long first.
	DelayMS int64 `json:"delay_ms,omitempty"`
	// RetryAfter is the Retry-After of "403_secondary" and "429" in seconds; 0 sends none. "403_primary" has none.
	RetryAfter int `json:"retry_after,omitempty"`
}

// FaultMatch chooses requests.
type FaultMatch struct {
	// Method is an HTTP method; "" is any.
	Method string `json:"method,omitempty"`
	// Path is a glob over the path without "/api/v3" and query: "*" is anything but "/", "**" anything; "" is any path.
	Path string `json:"path,omitempty"`
	// Nth is the first matching request that goes wrong, counted from 1; 0 is 1.
	Nth int `json:"nth,omitempty"`
	// Count is how many go wrong from there on; 0 is one, -1 all.
	Count int `json:"count,omitempty"`
}

// FaultKinds are the faults there are. "Before" is without effect, "after" means that only the reply is lost or
// replaced; held requests wait for their release. "stale_304" says that nothing changed to a client that has any older reply;
// "403_primary" is the hourly limit, whatever was used of it; "403_permission" is a token without the permission that the
// call needs; "409" is the refusal of a name that a runner has, "422" that of a runner too many.
func FaultKinds() []string {
	return []string{
		"reset_before", "reset_after", "hold_before", "hold_after", "delay", "500", "502", "503", "500_after",
		"502_after", "503_after", "403_secondary", "429", "403_primary", "403_permission", "409", "422", "partial_list", "empty_list", "double_list", "reverse_list", "stale_304",
	}
}

// FaultState is a fault and what became of it.
type FaultState struct {
	ID int64 `json:"id"`
	FaultSpec
	Seen     int  `json:"seen"`  // matching requests
	Fired    int  `json:"fired"` // those that went wrong
	Released bool `json:"released"`
}

// armed is a fault in place.
type armed struct {
	id       int64
	spec     FaultSpec
	glob     *regexp.Regexp
	seen     int
	fired    int
	release  chan struct{}
	released bool
}

// faultList holds the faults, with a lock of its own: a held request must not hold up the world.
type faultList struct {
	mu   sync.Mutex
	last int64
	all  []*armed
}

func newFaultList() *faultList { return &faultList{} }

// Fault arms a fault and returns its id.
func (s *Server) Fault(spec FaultSpec) (int64, error) { return s.faults.arm(spec) }

// ReleaseFault lets the requests that a fault holds go on, and those that would be held later. It reports whether
// there is such a fault.
func (s *Server) ReleaseFault(id int64) bool { return s.faults.let(id) }

// ClearFaults releases and removes the fault, or all for 0. It returns how many there were.
func (s *Server) ClearFaults(id int64) int { return s.faults.clear(id) }

// Faults lists the faults in place.
func (s *Server) Faults() []FaultState { return s.faults.list() }

func (l *faultList) arm(spec FaultSpec) (int64, error) {
	if !slices.Contains(FaultKinds(), spec.Kind) {
		return 0, fmt.Errorf("arm fault %q: want one of %s", spec.Kind, strings.Join(FaultKinds(), ", "))
	}
	if spec.DelayMS < 0 || spec.RetryAfter < 0 || spec.Match.Nth < 0 || spec.Match.Count < -1 {
		return 0, errors.New("arm fault: delay_ms, retry_after and nth can't be negative, count not below -1")
	}
	if spec.Match.Nth == 0 {
		spec.Match.Nth = 1
	}
	if spec.Match.Count == 0 {
		spec.Match.Count = 1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	l.all = append(l.all, &armed{id: l.last, spec: spec, glob: glob(spec.Match.Path), release: make(chan struct{})})
	return l.last, nil
}

func glob(pattern string) *regexp.Regexp {
	if pattern == "" {
		pattern = "**"
	}
	q := regexp.QuoteMeta(pattern)
	q = strings.ReplaceAll(q, `\*\*`, `.*`)
	q = strings.ReplaceAll(q, `\*`, `[^/]*`)
	return regexp.MustCompile("^" + q + "$") // quoted: always a good expression
}

// pick counts the request against every fault and returns the first that fires.
func (l *faultList) pick(c *call) *armed {
	l.mu.Lock()
	defer l.mu.Unlock()
	var hit *armed
	for _, a := range l.all {
		if (a.spec.Match.Method != "" && !strings.EqualFold(a.spec.Match.Method, c.method)) || !a.glob.MatchString(c.path) {
			continue
		}
		a.seen++
		due := a.seen >= a.spec.Match.Nth && (a.spec.Match.Count < 0 || a.fired < a.spec.Match.Count)
		if due && hit == nil {
			a.fired++
			hit = a
		}
	}
	return hit
}

func (l *faultList) let(id int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.all {
		if a.id == id {
			a.free()
			return true
		}
	}
	return false
}

func (l *faultList) clear(id int64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	l.all = slices.DeleteFunc(l.all, func(a *armed) bool {
		if id != 0 && a.id != id {
			return false
		}
		a.free()
		n++
		return true
	})
	return n
}

func (l *faultList) list() []FaultState {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []FaultState{}
	for _, a := range l.all {
		out = append(out, FaultState{ID: a.id, FaultSpec: a.spec, Seen: a.seen, Fired: a.fired, Released: a.released})
	}
	return out
}

func (a *armed) free() {
	if !a.released {
		a.released = true
		close(a.release)
	}
}

// withFault serves the request the way the fault wants it; nil is no fault.
func (s *Server) withFault(c *call, f *armed) reply {
	if f == nil {
		return s.handle(c)
	}
	if f.spec.DelayMS > 0 && !s.pause(time.Duration(f.spec.DelayMS)*time.Millisecond) {
		return reply{reset: true}
	}
	kind, after := strings.CutSuffix(f.spec.Kind, "_after")
	switch kind {
	case "hold":
		rep := s.handle(c)
		if !s.held(f) {
			return reply{reset: true}
		}
		return rep
	case "hold_before":
		if !s.held(f) {
			return reply{reset: true}
		}
	case "reset_before":
		return reply{reset: true}
	case "reset":
		s.handle(c)
		return reply{reset: true}
	case "500", "502", "503":
		if after {
			s.handle(c)
		}
		return f.spec.serverError(kind)
	case "403_secondary", "429":
		return f.spec.secondary()
	case "403_primary":
		return s.primary(c)
	case "403_permission":
		return s.unpermitted(c)
	case "422":
		return tooManyRunners(defaultGroup)
	case "409":
		return problem(http.StatusConflict, "Already exists - A runner with the name "+c.wantedName()+" already exists.", runnerDocs)
	case "partial_list", "empty_list", "double_list", "reverse_list":
		c.header.Del("If-None-Match") // a 304 has no list to change
		return reshape(s.handle(c), kind)
	case "stale_304":
		if old := c.header.Get("If-None-Match"); old != "" {
			c.header.Set("If-None-Match", "*")
			return s.handle(c).with("ETag", old)
		}
	}
	return s.handle(c)
}

// pause waits; false means that the server closed meanwhile.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// held waits for the release; false means that the server closed meanwhile.
func (s *Server) held(f *armed) bool {
	select {
	case <-f.release:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// serverError is GitHub's answer when something broke.
func (f FaultSpec) serverError(kind string) reply {
	status, _ := strconv.Atoi(kind)
	message := map[int]string{
		http.StatusInternalServerError: "Server Error", http.StatusBadGateway: "Server Error",
		http.StatusServiceUnavailable: "No server is currently available to service your request. Sorry about that. Please try resubmitting your request and contact us if the problem persists.",
	}[status]
	if f.Message != "" {
		message = f.Message
	}
	return problem(status, message, "")
}

// secondary is the refusal of a secondary limit.
func (f FaultSpec) secondary() reply {
	status := http.StatusForbidden
	if f.Kind == "429" {
		status = http.StatusTooManyRequests
	}
	message := "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. If you reach out to GitHub Support for help, please include the request ID and timestamp."
	if f.Message != "" {
		message = f.Message
	}
	rep := problem(status, message, "overview/rate-limits-for-the-rest-api#about-secondary-rate-limits")
	if f.RetryAfter > 0 {
		rep.header.Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	return rep
}
