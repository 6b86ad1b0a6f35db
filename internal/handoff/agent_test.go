package handoff_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// guest is a guest agent that runs one command at a time.
type guest struct {
	ping    error
	run     func(command []string, stdin string) (proxmox.ExecStatus, error)
	took    time.Duration // how long a command runs
	file    string
	fileErr error

	pid     int
	ended   map[int]proxmox.ExecStatus
	endedAt map[int]time.Time
	execs   [][]string
}

func (g *guest) AgentExec(_ context.Context, _ string, _ int, command []string, stdin []byte) (int, error) {
	if g.ping != nil { // Proxmox pings before each command
		return 0, g.ping
	}
	g.execs = append(g.execs, command)
	st, err := g.run(command, string(stdin))
	if err != nil {
		return 0, err
	}
	if g.ended == nil {
		g.ended, g.endedAt = map[int]proxmox.ExecStatus{}, map[int]time.Time{}
	}
	g.pid++
	g.ended[g.pid], g.endedAt[g.pid] = st, time.Now().Add(g.took)
	return g.pid, nil
}

func (g *guest) AgentExecStatus(_ context.Context, _ string, _, pid int) (proxmox.ExecStatus, error) {
	st, ok := g.ended[pid]
	if !ok {
		return st, errors.New("Agent error: Invalid parameter 'pid'")
	}
	if time.Now().Before(g.endedAt[pid]) {
		return proxmox.ExecStatus{}, nil
	}
	delete(g.ended, pid) // a finished command's status can be read once
	st.Exited = true
	return st, nil
}

func (g *guest) AgentFileRead(context.Context, string, int, string) (string, error) {
	return g.file, g.fileErr
}

var (
	vm  = handoff.VM{Node: "pve1", VMID: 200}
	jit = runner.Identity{RegistrationID: 7, Name: "ep-0123456789", JITConfig: runner.NewSecret("c2VjcmV0LWppdA==")}
)

func prints(code int, out, errOut string) func([]string, string) (proxmox.ExecStatus, error) {
	return func([]string, string) (proxmox.ExecStatus, error) {
		return proxmox.ExecStatus{ExitCode: code, Out: out, Err: errOut}, nil
	}
}

func TestProbeTellsBootingFromBroken(t *testing.T) {
	for _, tc := range []struct {
		name  string
		guest guest
		state handoff.State
		err   error
		words string
	}{
		{name: "ready", guest: guest{run: prints(0, `{"contract":1,"state":"ready","runner":""}`+"\n", "")}, state: handoff.Ready},
		{name: "delivered", guest: guest{run: prints(0, `{"contract":2,"state":"delivered","runner":"x","job_started":true}`, "")}, state: handoff.Delivered},
		{name: "no agent yet", guest: guest{ping: errors.New("QEMU guest agent is not running")}, err: handoff.ErrNotReady},
		{name: "no privilege", guest: guest{ping: &proxmox.Error{Kind: proxmox.Permission, Message: "Permission check failed"}}, err: proxmox.Permission},
		{name: "no script", guest: guest{run: prints(127, "", "sh: not found")}, err: handoff.ErrImage, words: `ended with 127: "sh: not found"`},
		{name: "no JSON", guest: guest{run: prints(0, "hello", "")}, err: handoff.ErrImage, words: "want one line of JSON"},
		{name: "no contract", guest: guest{run: prints(0, `{"state":"ready"}`, "")}, err: handoff.ErrImage, words: "contract is 0"},
		{name: "another contract", guest: guest{run: prints(0, `{"contract":9,"state":"ready"}`, "")}, err: handoff.ErrImage, words: "contract is 9"},
		{name: "another state", guest: guest{run: prints(0, `{"contract":1,"state":"dancing"}`, "")}, err: handoff.ErrImage, words: "dancing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := handoff.NewAgent(&tc.guest, handoff.AgentOptions{}).Probe(t.Context(), vm)
			if !errors.Is(err, tc.err) || err != nil && !strings.Contains(err.Error(), tc.words) {
				t.Errorf("error %v, want %v with %q", err, tc.err, tc.words)
			}
			if g.State != tc.state {
				t.Errorf("state %q, want %q", g.State, tc.state)
			}
		})
	}
}

func TestDeliverPutsTheIdentityOnStdinOnly(t *testing.T) {
	var stdin string
	g := &guest{run: func(_ []string, in string) (proxmox.ExecStatus, error) {
		stdin = in
		return proxmox.ExecStatus{}, nil
	}}
	if err := handoff.NewAgent(g, handoff.AgentOptions{}).Deliver(t.Context(), vm, handoff.Order{User: "ci"}, jit); err != nil {
		t.Fatal(err)
	}
	if stdin != jit.JITConfig.Reveal()+"\n" {
		t.Errorf("stdin %q", stdin)
	}
	want := handoff.Script + " --user ci --jit " + jit.Name
	if got := strings.Join(g.execs[0], " "); got != want {
		t.Errorf("command %q, want %q", got, want)
	}
}

func TestLostReplyIsAnsweredByDeliveringAgain(t *testing.T) {
	calls := 0
	g := &guest{run: func([]string, string) (proxmox.ExecStatus, error) {
		calls++
		if calls == 1 {
			return proxmox.ExecStatus{}, &proxmox.Error{Kind: proxmox.MaybeHappened, Message: "596"}
		}
		return proxmox.ExecStatus{}, nil
	}}
	if err := handoff.NewAgent(g, handoff.AgentOptions{}).Deliver(t.Context(), vm, handoff.Order{}, jit); err != nil {
		t.Fatal(err)
	}
	if calls != 2 {
		t.Errorf("%d deliveries, want 2", calls)
	}
}

func TestDeliverTellsWhyTheGuestRefused(t *testing.T) {
	for _, tc := range []struct {
		code int
		err  error
	}{{0, nil}, {2, handoff.ErrImage}, {3, handoff.ErrTaken}, {4, handoff.ErrImage}} {
		g := &guest{run: prints(tc.code, "", "some reason")}
		err := handoff.NewAgent(g, handoff.AgentOptions{}).Deliver(t.Context(), vm, handoff.Order{}, jit)
		if !errors.Is(err, tc.err) {
			t.Errorf("exit %d: error %v, want %v", tc.code, err, tc.err)
		}
		if err != nil && strings.Contains(err.Error(), jit.JITConfig.Reveal()) {
			t.Errorf("exit %d: the identity shows in %q", tc.code, err)
		}
	}
}

func TestHangingCommandEndsWithItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guest{took: time.Hour, run: prints(0, "", "")}
		began := time.Now()
		err := handoff.NewAgent(g, handoff.AgentOptions{ExecTimeout: 20 * time.Second}).Deliver(t.Context(), vm, handoff.Order{}, jit)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the deadline", err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("took %s for two tries of 20 s", took)
		}
	})
}

func TestResultIsReadWhenThereIsOne(t *testing.T) {
	for _, tc := range []struct {
		name string
		g    guest
		over bool
		bad  bool
	}{
		{name: "not yet", g: guest{fileErr: fmt.Errorf("read: %w", &proxmox.Error{Kind: proxmox.NotFound})}},
		{name: "over", g: guest{file: `{"runner":"x","exit_code":100,"outcome":"succeeded","job_started":true}`}, over: true},
		{name: "half written", g: guest{file: `{"runner"`}, bad: true},
		{name: "agent gone", g: guest{fileErr: errors.New("QEMU guest agent is not running")}, bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, over, err := handoff.NewAgent(&tc.g, handoff.AgentOptions{}).Result(t.Context(), vm)
			if over != tc.over || (err != nil) != tc.bad {
				t.Errorf("over %v, error %v", over, err)
			}
			if over && r.Outcome != "succeeded" {
				t.Errorf("result %+v", r)
			}
		})
	}
}

func TestAGuestThatPrintsItsIdentityIsNotQuoted(t *testing.T) {
	secret := strings.Repeat("eyIucnVubmVyIjoiZXlK", 40)
	id := runner.Identity{Name: "ep-0123456789", JITConfig: runner.NewSecret(secret)}
	for name, printed := range map[string]string{
		"whole":        "no listener for " + secret + "\n",
		"cut off":      "no listener for " + secret[:100] + "\n",
		"on two lines": "no listener for " + secret[:50] + "\n" + secret[50:],
		"one word":     secret[3 : 3+len("eyIucnVubmVy")],
	} {
		g := &guest{run: prints(4, "", printed)}
		err := handoff.NewAgent(g, handoff.AgentOptions{}).Deliver(t.Context(), vm, handoff.Order{}, id)
		if !errors.Is(err, handoff.ErrImage) || strings.Contains(err.Error(), "yIucnVubm") || !strings.Contains(err.Error(), runner.Redacted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
