package world

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// room is an engine in virtual time, and what its machines did.
type room struct {
	t *testing.T
	*Guests
	gh  *gh.Server
	off chan int // gets the VMID of each machine that is said to have powered off
}

// inRoom runs a test in a synctest bubble with a GitHub and an engine that are closed at its end.
func inRoom(t *testing.T, o GuestOptions, fn func(*room)) {
	t.Helper()
	inRoomWith(t, gh.Options{}, o, fn)
}

func inRoomWith(t *testing.T, g gh.Options, o GuestOptions, fn func(*room)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)))
		github := gh.New(g)
		defer github.Close()
		o.Transport = github.RoundTripper()
		r := &room{t: t, Guests: NewGuests(o), gh: github, off: make(chan int, 100)}
		defer r.Close()
		fn(r)
	})
}

// boot starts a VM and waits until its agent answers.
func (r *room) boot(vmid int) {
	r.t.Helper()
	r.start(vmid)
	r.ask(vmid, "guest-ping", nil)
}

func (r *room) start(vmid int) {
	r.t.Helper()
	if err := r.Clone(r.t.Context(), 9000, vmid, false, func(string) {}); err != nil {
		r.t.Fatal(err)
	}
	r.power(vmid)
}

func (r *room) power(vmid int) {
	r.t.Helper()
	err := r.Start(r.t.Context(), pve.Machine{VMID: vmid, Name: "ep-0123456789", MAC: "02:00:00:00:00:01", Exited: func() { r.off <- vmid }})
	if err != nil {
		r.t.Fatal(err)
	}
}

// ask runs an agent command and wants an answer.
func (r *room) ask(vmid int, execute string, arguments any) map[string]any {
	r.t.Helper()
	out, err := r.try(vmid, execute, arguments)
	if err != nil {
		r.t.Fatalf("%s: %v", execute, err)
	}
	var m map[string]any
	_ = json.Unmarshal(out, &m) // numbers and lists stay out of it
	return m
}

func (r *room) try(vmid int, execute string, arguments any) (json.RawMessage, error) {
	var raw json.RawMessage
	if arguments != nil {
		var err error
		if raw, err = json.Marshal(arguments); err != nil {
			r.t.Fatal(err)
		}
	}
	return r.Agent(r.t.Context(), vmid, execute, raw)
}

// finished is a program's end as guest-exec-status tells it.
type finished struct {
	Code    int    `json:"exitcode"`
	Exited  bool   `json:"exited"`
	OutData []byte `json:"out-data"`
	ErrData []byte `json:"err-data"`
}

// run runs a program in the guest to its end.
func (r *room) run(vmid int, stdin, program string, args ...string) finished {
	r.t.Helper()
	pid := r.ask(vmid, "guest-exec", map[string]any{"path": program, "arg": args, "input-data": []byte(stdin), "capture-output": true})["pid"]
	for {
		raw, err := r.try(vmid, "guest-exec-status", map[string]any{"pid": pid})
		if err != nil {
			r.t.Fatal(err)
		}
		var f finished
		if err := json.Unmarshal(raw, &f); err != nil {
			r.t.Fatal(err)
		}
		if f.Exited {
			return f
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// refused wants the agent's own refusal.
func (r *room) refused(vmid int, execute string, arguments any, class, desc string) {
	r.t.Helper()
	_, err := r.try(vmid, execute, arguments)
	var refusal *pve.AgentError
	if !errors.As(err, &refusal) || refusal.Class != class || refusal.Desc != desc {
		r.t.Errorf("%s %v: %v, want %s: %s", execute, arguments, err, class, desc)
	}
}

// powersOff wants the machine to power off by itself within the time.
func (r *room) powersOff(vmid int, within time.Duration) {
	r.t.Helper()
	select {
	case got := <-r.off:
		if got != vmid {
			r.t.Errorf("VM %d powered off, want %d", got, vmid)
		}
	case <-time.After(within):
		r.t.Fatalf("VM %d still on after %s", vmid, within)
	}
}
