package world

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
)

// booted starts a VM with an agent and gives its machine; inside a bubble only.
func booted(t *testing.T, g *Guests, vmid int) *machine {
	t.Helper()
	if err := g.Clone(t.Context(), 9000, vmid, false, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context(), pve.Machine{VMID: vmid, Name: "r-1"}); err != nil {
		t.Fatal(err)
	}
	m := g.machine(vmid)
	<-m.agentUp
	return m
}

func TestRunOnceKeepsTheContractsExitCodes(t *testing.T) {
	for _, c := range []struct {
		name, args, stdin string
		code              int
	}{
		{"version", "--version", "", 0},
		{"probe", "--probe", "", 0},
		{"identity", "--jit r-1", "x\n", 0},
		{"no call", "", "", 2},
		{"unknown option", "--jitter r-1", "x\n", 2},
		{"option without value", "--linger", "", 2},
		{"linger that is no number", "--linger soon --jit r-1", "x\n", 2},
		{"name that is none", "--jit ../r-1", "x\n", 2},
		{"empty stdin", "--jit r-1", "", 2},
		{"older call as root", "https://github.com/o/r token a r-1", "", 2},
		{"no such user", "--user nobody-here --jit r-1", "x\n", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGuests(GuestOptions{})
				defer g.Close()
				if o := booted(t, g, 201).runOnce(strings.Fields(c.args), c.stdin); o.code != c.code {
					t.Errorf("run-once.sh %s ended with %d (%s), want %d", c.args, o.code, o.err, c.code)
				}
			})
		})
	}
}

func TestASecondDeliveryChangesNothingAndAnotherIdentityIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuests(GuestOptions{})
		defer g.Close()
		m := booted(t, g, 201)
		for i, stdin := range []string{"x\n", "x\n", "y\n", "x\n"} {
			if got, want := m.runOnce([]string{"--jit", "r-1"}, stdin).code, []int{0, 0, 3, 0}[i]; got != want {
				t.Errorf("delivery %d ended with %d, want %d", i+1, got, want)
			}
		}
	})
}

func TestTheGuestPowersOffAfterItsLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuests(GuestOptions{})
		defer g.Close()
		m := booted(t, g, 201)
		began := time.Now()
		m.runOnce([]string{"--jit", "r-1"}, "no configuration\n") // the listener ends at once
		<-m.off
		if took := time.Since(began); took != defaultLinger {
			t.Errorf("off after %s, want %s", took, defaultLinger)
		}
		if text, err := g.ReadFile(201, resultPath); err != nil || !strings.Contains(text, `"outcome":"infrastructure"`) {
			t.Errorf("result %q, %v", text, err)
		}
	})
}

func TestAFinishedCommandsStatusIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuests(GuestOptions{})
		defer g.Close()
		booted(t, g, 201)
		args := json.RawMessage(`{"path":"/bin/sh","arg":["-c","cat; exit 3"],"input-data":"aGk=","capture-output":true}`)
		if got, err := g.Agent(t.Context(), 201, "guest-exec", args); err != nil || string(got) != `{"pid":801}` {
			t.Fatalf("guest-exec: %s, %v", got, err)
		}
		synctest.Wait()
		got, err := g.Agent(t.Context(), 201, "guest-exec-status", json.RawMessage(`{"pid":801}`))
		if want := `{"exitcode":3,"exited":true,"out-data":"aGk="}`; err != nil || string(got) != want {
			t.Errorf("status %s, %v, want %s", got, err, want)
		}
		_, err = g.Agent(t.Context(), 201, "guest-exec-status", json.RawMessage(`{"pid":801}`))
		var refused *pve.AgentError
		if !errors.As(err, &refused) || refused.Class != "GenericError" {
			t.Errorf("second read: %v, want a refusal", err)
		}
	})
}

func TestNoFileOfOneVMIsInTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuests(GuestOptions{})
		defer g.Close()
		m := booted(t, g, 201)
		m.shell(m.ctx, "/", nil, "", true).run("echo secret > /tmp/left")
		if err := g.Destroy(t.Context(), 201); err != nil {
			t.Fatal(err)
		}
		m = booted(t, g, 201)
		if o := m.shell(m.ctx, "/", nil, "", true).run("test ! -e /tmp/left"); o.code != 0 {
			t.Error("the file is there again")
		}
	})
}

func TestShell(t *testing.T) {
	for script, want := range map[string]outcome{
		"echo a $X '$X' \"$X\"":                         {out: "a b $X b\n"},
		"true && echo y || echo n":                      {out: "y\n"},
		"false && echo y || echo n":                     {out: "n\n"},
		"echo 1 > /tmp/f; echo 2 >> /tmp/f; cat /tmp/f": {out: "1\n2\n"},
		"mkdir /tmp/d; touch /tmp/d/f; ls /tmp/d":       {out: "f\n"},
		"touch /tmp/f; rm /tmp/f; [ -e /tmp/f ]":        {code: 1},
		"exit 7; echo no":                               {code: 7},
		"nonsense":                                      {code: 127, err: "sh: nonsense: not found\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := NewGuests(GuestOptions{})
			defer g.Close()
			m := booted(t, g, 201)
			if got := m.shell(m.ctx, "/", []string{"X=b"}, "", false).run(script); got != want {
				t.Errorf("%q: %+v, want %+v", script, got, want)
			}
		})
	}
}

func FuzzShellNeverPanicsOrHangs(f *testing.F) {
	for _, s := range []string{"echo $X > /tmp/f && cat /tmp/f", "a='", "> ", "${", "exit 300", "[ a = b ]", "sleep 1h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		synctest.Test(t, func(t *testing.T) {
			g := NewGuests(GuestOptions{})
			defer g.Close()
			m := booted(t, g, 201)
			if o := m.shell(m.ctx, "/", nil, "", false).run(script); o.code < 0 || o.code > 255 {
				t.Errorf("exit code %d", o.code)
			}
		})
	})
}
