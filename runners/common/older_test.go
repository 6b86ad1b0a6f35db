package common_test

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// unprivileged is whom the older call runs as; nil when we are that already.
func unprivileged(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (b *sandbox) callOlder() reply {
	b.t.Helper()
	for _, dir := range []string{"", "opt/actions-runner"} { // "power" is written by the user here
		if err := os.Chmod(b.path(dir), 0o777); err != nil {
			b.t.Fatal(err)
		}
	}
	return b.callAs(unprivileged(b.t), "", "https://github.com/NREL/EnergyPlus", "AREGISTRATIONTOKEN", "linux,x64", name)
}

func TestOlderCallRegistersAndRunsInTheForeground(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.act(`case $0 in *config.sh) exit 0 ;; esac`, `[ "$n" -ge 1 ] || exit 2`, runs, succeeded, "exit 0")
		r := b.callOlder()
		if r.code != 0 || !strings.Contains(r.out, "Running job: build") {
			t.Errorf("%+v, want 0 and the listener's output", r)
		}
		b.untilOff()
		config, run := b.calls("config.sh"), b.calls("Runner.Listener")
		if len(config) != 1 || len(run) != 2 {
			t.Fatalf("%d registrations and %d starts, want 1 and 2", len(config), len(run))
		}
		if strings.Contains(config[0]["args"], "AREGISTRATIONTOKEN") || config[0]["token"] != "AREGISTRATIONTOKEN" {
			t.Errorf("config.sh %q with token %q, want the token in the environment only", config[0]["args"], config[0]["token"])
		}
		for _, want := range []string{"--ephemeral", "--unattended", "--labels linux,x64", "--name " + name} {
			if !strings.Contains(config[0]["args"], want) {
				t.Errorf("config.sh %q without %s", config[0]["args"], want)
			}
		}
		if run[0]["token"] != "" || run[0]["args"] != "run" || run[0]["deprecated"] != "1" {
			t.Errorf("listener started with %v", run[0])
		}
	})
}

func TestOlderCallPowersOffWhateverHappens(t *testing.T) {
	for _, tc := range []struct {
		name string
		act  []string
		code int
	}{
		{"registration refused", []string{"exit 1"}, 1},
		{"deprecated", []string{`case $0 in *config.sh) exit 0 ;; esac`, "exit 7"}, 7},
		{"retryable for ever", []string{`case $0 in *config.sh) exit 0 ;; esac`, "exit 2"}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newSandbox(t, []string{"/bin/sh"})
			b.act(tc.act...)
			if r := b.callOlder(); r.code != tc.code {
				t.Errorf("%+v, want %d", r, tc.code)
			}
			b.untilOff()
		})
	}
}

func TestOlderCallIsNotForRoot(t *testing.T) {
	if os.Getuid() != 0 {
		// Nobody else can find out what root would hear; what root hears is tested where tests run as root.
		t.Log("not root: only the unprivileged side is tested")
		return
	}
	b := newSandbox(t, []string{"/bin/sh"})
	r := b.call("", "https://github.com/NREL/EnergyPlus", "TOKEN", "linux", name)
	if r.code != 2 || !strings.Contains(r.err, "--jit") {
		t.Errorf("%+v, want 2 and the way for root", r)
	}
	b.wantUntouched()
}
