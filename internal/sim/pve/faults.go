package pve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/sim/wire"
)

// FaultSpec says which requests or which task workers go wrong, and how. Its JSON is the body of POST /_sim/faults.
type FaultSpec struct {
	Match FaultMatch `json:"match"`
	// Kind is one of [FaultKinds]; with Match.Task one of [TaskFaultKinds].
	Kind string `json:"fault"`
	// Status and Reason are the reply of "answer" and "answer_after"; Reason is also the error that "fail" ends a
	// task with. Without a status it is 500 for "answer", and 596 for "answer_after".
	Status int    `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
	// DelayMS is how long "delay" waits, in milliseconds; other kinds wait so long first.
	DelayMS int64 `json:"delay_ms,omitempty"`
}

// FaultMatch chooses requests, or task workers when Task is set.
type FaultMatch struct {
	// Method is an HTTP method; "" is any.
	Method string `json:"method,omitempty"`
	// Path is a glob over the path below /api2/json, without the query: "*" is anything but "/", "**" anything; ""
	// is any path.
	Path string `json:"path,omitempty"`
	// VMID is the VM that the path or a parameter named vmid names, or the new id of a clone or the VM of a task; 0
	// is any.
	VMID int `json:"vmid,omitempty"`
	// Task is a task's type, for example "qmstart": the fault is in the worker, not in the request. At is the point
	// it strikes at: one of [TaskPoints], "" is "start". "locked" is for workers of a VM's power, clone and removal,
	// what comes after it for qmclone and qmdestroy only, and "done" for qmstart, too.
	Task string `json:"task,omitempty"`
	At   string `json:"at,omitempty"`
	// Nth is the first match that goes wrong, counted from 1; 0 is 1.
	Nth int `json:"nth,omitempty"`
	// Count is how many go wrong from there on; 0 is one, -1 all.
	Count int `json:"count,omitempty"`
}

// FaultKinds are what can happen to a request. "Before" is without effect; "after" means that only the reply is lost
// or replaced; held requests wait for their release.
func FaultKinds() []string {
	var out []string
	for k := wire.Refuse; k <= wire.Twice; k++ {
		out = append(out, k.String())
	}
	return out
}

// The ways in which a worker goes wrong.
const (
	taskFail  = "fail"  // the task ends with Reason, cleaning up as after any error
	taskKill  = "kill"  // the worker dies without a word, whatever it had done stays
	taskHold  = "hold"  // it waits for its release
	taskDelay = "delay" // it waits
	taskLeak  = "leak"  // a removal can't free the disks, for Reason: it ends with WARNINGS, and they stay
)

// TaskFaultKinds are what can happen to a task's worker: it fails with Reason, is killed, is held or delayed, or, removing
// a VM, leaves its disks for Reason.
func TaskFaultKinds() []string { return []string{taskFail, taskKill, taskHold, taskDelay, taskLeak} }

// The points of a worker's life at which a fault strikes. Those of clone and removal are the ones that were tried on
// Proxmox VE 9.2 by killing the worker.
const (
	pointStart  = "start"  // before everything
	pointLocked = "locked" // with its lock files, before its first effect
	pointCopy   = "copy"   // clone: locked configuration, parts of the disks; removal: disks gone, configuration whole
	pointCopied = "copied" // clone: disks and whole configuration, still locked; removal: "lock: destroyed"
	pointPool   = "pool"   // clone: unlocked, not yet in its resource pool; removal: no longer in it
	pointDone   = "done"   // clone: all done but the last line; start: the guest runs
)

// TaskPoints are the points at which a fault can strike a worker.
func TaskPoints() []string {
	return []string{pointStart, pointLocked, pointCopy, pointCopied, pointPool, pointDone}
}

// FaultState is a fault and what became of it.
type FaultState struct {
	ID int64 `json:"id"`
	FaultSpec
	Seen     int  `json:"seen"`  // matches
	Fired    int  `json:"fired"` // those that went wrong
	Released bool `json:"released"`
}

// faultBook holds the faults. Server.mu guards it.
type faultBook struct {
	last int64
	all  []*armedFault
}

// armedFault is a fault in place.
type armedFault struct {
	FaultState
	glob    *regexp.Regexp
	release chan struct{}
}

// Fault arms a fault and returns its id.
func (s *Server) Fault(spec FaultSpec) (int64, error) {
	if err := spec.check(); err != nil {
		return 0, err
	}
	spec.Match.Nth = max(spec.Match.Nth, 1)
	if spec.Match.Count == 0 {
		spec.Match.Count = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.last++
	s.faults.all = append(s.faults.all, &armedFault{
		FaultState: FaultState{ID: s.faults.last, FaultSpec: spec}, glob: globPattern(spec.Match.Path), release: make(chan struct{}),
	})
	return s.faults.last, nil
}

func (f *FaultSpec) check() error {
	kinds := FaultKinds()
	if f.Match.Task != "" {
		kinds = TaskFaultKinds()
		if f.Match.At == "" {
			f.Match.At = pointStart
		}
		if !slices.Contains(TaskPoints(), f.Match.At) {
			return fmt.Errorf("arm fault: at %q: want one of %s", f.Match.At, strings.Join(TaskPoints(), ", "))
		}
	} else if f.Match.At != "" {
		return errors.New("arm fault: at goes with task")
	}
	if !slices.Contains(kinds, f.Kind) {
		return fmt.Errorf("arm fault %q: want one of %s", f.Kind, strings.Join(kinds, ", "))
	}
	if (f.Kind == taskFail || f.Kind == taskLeak) && f.Reason == "" {
		return fmt.Errorf("arm fault: %s needs the reason that the task tells", f.Kind)
	}
	if f.Kind == taskLeak && (f.Match.Task != "qmdestroy" || f.Match.At == pointCopied || f.Match.At == pointCopy || f.Match.At == pointPool) {
		return errors.New("arm fault: leak is for qmdestroy, at start or locked")
	}
	if f.Status != 0 && (f.Status < 100 || f.Status > 999) {
		return fmt.Errorf("arm fault: status %d: want three digits", f.Status)
	}
	if f.DelayMS < 0 || f.Match.Nth < 0 || f.Match.Count < -1 {
		return errors.New("arm fault: delay_ms and nth can't be negative, count not below -1")
	}
	return nil
}

// globPattern is a glob as an expression.
func globPattern(pattern string) *regexp.Regexp {
	if pattern == "" {
		pattern = "**"
	}
	q := regexp.QuoteMeta(pattern)
	q = strings.ReplaceAll(q, `\*\*`, `.*`)
	q = strings.ReplaceAll(q, `\*`, `[^/]*`)
	return regexp.MustCompile("^" + q + "$") // quoted: always a good expression
}

// ReleaseFault lets what a fault holds go on, and what it would hold later. It reports whether there is such a fault.
func (s *Server) ReleaseFault(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults.all {
		if f.ID == id {
			f.free()
			return true
		}
	}
	return false
}

// ClearFaults releases and removes the fault, or all for 0. It returns how many there were.
func (s *Server) ClearFaults(id int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.faults.all)
	s.faults.all = slices.DeleteFunc(s.faults.all, func(f *armedFault) bool {
		if id != 0 && f.ID != id {
			return false
		}
		f.free()
		return true
	})
	return before - len(s.faults.all)
}

// Faults lists the faults in place.
func (s *Server) Faults() []FaultState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []FaultState{}
	for _, f := range s.faults.all {
		out = append(out, f.FaultState)
	}
	return out
}

func (f *armedFault) free() {
	if !f.Released {
		f.Released = true
		close(f.release)
	}
}

// pick counts a match against every fault that matches tells, and returns the first that fires.
func (b *faultBook) pick(matches func(*armedFault) bool) *armedFault {
	var hit *armedFault
	for _, f := range b.all {
		if !matches(f) {
			continue
		}
		f.Seen++
		if due := f.Seen >= f.Match.Nth && (f.Match.Count < 0 || f.Fired < f.Match.Count); due && hit == nil {
			f.Fired++
			hit = f
		}
	}
	return hit
}

// chooseFault is what happens to a request. Doors are never harmed.
func (s *Server) chooseFault(r *http.Request) wire.Fault {
	if isDoor(r) {
		return wire.Fault{}
	}
	if s.apiNodeDown(r.Host) {
		return wire.Fault{Kind: wire.Refuse}
	}
	s.mu.Lock()
	byVM := slices.ContainsFunc(s.faults.all, func(f *armedFault) bool { return f.Match.Task == "" && f.Match.VMID != 0 })
	s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api2/json")
	var vmids []int
	if byVM {
		vmids = requestVMIDs(r, path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.faults.pick(func(f *armedFault) bool {
		m := f.Match
		return m.Task == "" && (m.Method == "" || strings.EqualFold(m.Method, r.Method)) && f.glob.MatchString(path) &&
			(m.VMID == 0 || slices.Contains(vmids, m.VMID))
	})
	if f == nil {
		return wire.Fault{}
	}
	out := wire.Fault{
		Kind: f.kind(), Status: f.Status, Reason: f.Reason, Release: f.release, Delay: time.Duration(f.DelayMS) * time.Millisecond,
	}
	switch {
	case out.Status != 0:
	case out.Kind == wire.Answer:
		out.Status = http.StatusInternalServerError
	case out.Kind == wire.AnswerAfter:
		out.Status = 596
	}
	if out.Reason == "" {
		out.Reason = defaultReason(out.Status)
	}
	return out
}

func (f *armedFault) kind() wire.Kind {
	for k := wire.Refuse; k <= wire.Twice; k++ {
		if k.String() == f.FaultSpec.Kind {
			return k
		}
	}
	return wire.None
}

// defaultReason is the phrase of the proxy's own answers (AnyEvent::HTTP).
func defaultReason(status int) string {
	switch status {
	case 595:
		return "Connection refused"
	case 596:
		return "Connection timed out"
	}
	return http.StatusText(status)
}

var vmidInPath = regexp.MustCompile(`^/nodes/[^/]+/qemu/(\d+)(?:/|$)`)

// requestVMIDs are the VMs that a request is about: in its path, and a clone's or a creation's new id. The body can
// still be read afterwards.
func requestVMIDs(r *http.Request, path string) []int {
	var out []int
	add := func(text string) {
		if n, err := strconv.Atoi(text); err == nil {
			out = append(out, n)
		}
	}
	if m := vmidInPath.FindStringSubmatch(path); m != nil {
		add(m[1])
	}
	p := params{}
	p.addForm(decodeForm(r.URL.RawQuery))
	if r.Method == http.MethodPost && strings.Contains(path, "/qemu") && r.ContentLength > 0 && r.ContentLength <= maxBody {
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), &failingReader{err}))
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			_ = p.addJSON(body) // the handler will say what is wrong with it
		} else {
			p.addForm(decodeForm(string(body)))
		}
	}
	add(p.str("newid"))
	add(p.str("vmid"))
	return out
}

// failingReader ends a body the way it ended when it was read for the first time.
type failingReader struct{ err error }

func (f *failingReader) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// point is a place in a worker's life where a fault may strike.
func (w *worker) point(ctx context.Context, at string) error {
	w.s.mu.Lock()
	id, _ := strconv.Atoi(w.task.id)
	f := w.s.faults.pick(func(f *armedFault) bool {
		m := f.Match
		return m.Task == w.task.kind && m.At == at && (m.VMID == 0 || m.VMID == id || m.VMID == w.newid)
	})
	w.s.mu.Unlock()
	if f == nil {
		return ctx.Err()
	}
	if err := pause(ctx, time.Duration(f.DelayMS)*time.Millisecond); err != nil {
		return err
	}
	switch f.FaultSpec.Kind {
	case taskFail:
		return failf("%s", f.Reason)
	case taskKill:
		return errKilled
	case taskLeak:
		w.keepDisks = f.Reason
	case taskHold:
		select {
		case <-f.release:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// isDoor reports whether a request is for the test doors, not for the API.
func isDoor(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/_sim/") }

// query reads a number from a door's query.
func queryNumber(q url.Values, k string) (int64, error) {
	if q.Get(k) == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(q.Get(k), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s %q: want a number", k, q.Get(k))
	}
	return n, nil
}
