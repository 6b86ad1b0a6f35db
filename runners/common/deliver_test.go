package common_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// waiting makes a listener that takes its job only when the test says go.
var waiting = []string{`while [ ! -e "$root/go" ]; do /bin/sleep 0.02; done`, runs, succeeded, "exit 0"}

func TestSecondDeliveryOfTheSameIdentityChangesNothing(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.act(waiting...)
		b.deliver()
		b.deliver()
		b.until("the listener", func() bool { return b.exists("record/Runner.Listener.0") })
		b.deliver()
		b.write("go", "", 0o644)
		b.untilOff()
		b.deliver() // even when all is over
		if n := len(b.calls("Runner.Listener")); n != 1 {
			t.Errorf("the listener was started %d times, want once", n)
		}
		if b.exists("run/mayfly/identity") {
			t.Error("a late delivery left the identity behind")
		}
	})
}

func TestAnotherIdentityIsRefused(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.act(waiting...)
	b.deliver()
	before := b.read("run/mayfly/identity.sha256")
	r := b.call("YW5vdGhlcg==\n", "--jit", "ep-9876543210")
	if r.code != 3 || !strings.Contains(r.err, "another identity") {
		t.Errorf("another identity: %+v, want 3 and why", r)
	}
	if b.read("run/mayfly/identity.sha256") != before || strings.TrimSpace(b.read("run/mayfly/runner")) != name {
		t.Error("the refused identity left its mark")
	}
	b.write("go", "", 0o644)
	b.untilOff()
	if calls := b.calls("Runner.Listener"); len(calls) != 1 || calls[0]["jit"] != identity {
		t.Errorf("starts %v", calls)
	}
	if r := b.call("YW5vdGhlcg==\n", "--jit", "ep-9876543210"); r.code != 3 {
		t.Errorf("another identity after the job: %+v, want 3", r)
	}
}

func TestOfConcurrentDeliveriesOneStartsTheListener(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.act(waiting...)
		const each = 4
		codes := make([]int, 2*each)
		var wg sync.WaitGroup
		for i := range codes {
			wg.Go(func() {
				which := []string{identity, "YW5vdGhlcg=="}[i%2]
				codes[i] = b.call(which, "--jit", name).code
			})
		}
		wg.Wait()
		b.write("go", "", 0o644)
		b.untilOff()
		// One of the two identities won: all its deliveries are fine, all of the other's refused.
		won, lost := codes[0], codes[1]
		if won+lost != 3 || won*lost != 0 {
			t.Errorf("exit codes %v, want 0 for one identity and 3 for the other", codes)
		}
		for i, code := range codes {
			if code != codes[i%2] {
				t.Errorf("exit codes %v differ for one identity", codes)
			}
		}
		if n := len(b.calls("Runner.Listener")); n != 1 {
			t.Errorf("the listener was started %d times, want once", n)
		}
	})
}

func TestDeliveryThatDiedHalfWayIsFinishedByTheNext(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.act(runs, succeeded)
	// What a delivery leaves that was killed before it handed the listener over: its lock, its mark, its file.
	b.link("run/mayfly/lock", "4194305") // above the kernel's largest process id
	b.write("run/mayfly/identity.sha256", "0dcd5a8dd91de5dd1bd93e9ab2ae6e5d9cf4ec5a2c1c1c1d6f6b3a0fb4d0e9aa\n", 0o600)
	if r := b.call(identity, "--jit", name); r.code != 3 {
		t.Errorf("another identity than the marked one: %+v, want 3", r)
	}
	b.link("run/mayfly/lock", "4194305")
	if err := os.Remove(b.path("run/mayfly/identity.sha256")); err != nil {
		t.Fatal(err)
	}
	b.deliver()
	b.untilOff()
	if got := b.result(); got.Outcome != "succeeded" {
		t.Errorf("result %+v", got)
	}
}

func TestBadCallsAreRefusedAndLeaveNothing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		stdin string
		args  []string
		words string
	}{
		{"nothing", identity, nil, "usage:"},
		{"no name", identity, []string{"--jit"}, "want --jit NAME"},
		{"too much", identity, []string{"--jit", name, "x"}, "want --jit NAME"},
		{"empty stdin", "", []string{"--jit", name}, "empty identity"},
		{"blank stdin", " \r\n\n", []string{"--jit", name}, "empty identity"},
		{"empty token", "", []string{"--token", "https://github.com/a/b", "x", name}, "empty identity"},
		{"token without labels", "x", []string{"--token", "https://github.com/a/b", name}, "want --token URL LABELS NAME"},
		{"name with a quote", identity, []string{"--jit", `ep"x`}, "want letters"},
		{"name like an option", identity, []string{"--jit", "--user"}, "want letters"},
		{"long name", identity, []string{"--jit", strings.Repeat("a", 65)}, "at most 64"},
		{"user with a slash", identity, []string{"--user", "a/b", "--jit", name}, "want letters"},
		{"root", identity, []string{"--user", "root", "--jit", name}, "unprivileged"},
		{"unknown option", identity, []string{"--frob"}, "no such option"},
		{"option without value", identity, []string{"--linger"}, "want a value"},
		{"linger in minutes", identity, []string{"--linger", "1m", "--jit", name}, "want seconds"},
		{"three words", "", []string{"https://github.com/a/b", "TOKEN", "x"}, "want URL TOKEN LABELS NAME"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newSandbox(t, []string{"/bin/sh"})
			r := b.call(tc.stdin, tc.args...)
			if r.code != 2 || r.out != "" || !strings.Contains(r.err, tc.words) {
				t.Errorf("%+v, want 2 and %q", r, tc.words)
			}
			b.wantUntouched()
		})
	}
}

func TestBrokenImageIsToldFromABadCall(t *testing.T) {
	for _, tc := range []struct {
		name   string
		breaks func(*sandbox)
		args   []string
		words  string
	}{
		{"no listener", func(b *sandbox) { b.remove("opt/actions-runner/bin/Runner.Listener") }, []string{"--jit", name}, "Runner.Listener"},
		{"listener that can't run", func(b *sandbox) { b.write("opt/actions-runner/bin/Runner.Listener", "", 0o644) }, []string{"--jit", name}, "Runner.Listener"},
		{"no config.sh", func(b *sandbox) { b.remove("opt/actions-runner/config.sh") }, []string{"--token", "https://github.com/a/b", "x", name}, "config.sh"},
		{"no user", func(*sandbox) {}, []string{"--user", "no-such-user", "--jit", name}, "no user no-such-user"},
		{"/run on the disk", func(b *sandbox) { b.write("proc/mounts", "/dev/vda1 / ext4 rw 0 0\n", 0o644) }, []string{"--jit", name}, "tmpfs"},
		{"/run on another disk", func(b *sandbox) {
			b.write("proc/mounts", "tmpfs /run tmpfs rw 0 0\n/dev/vdb /run ext4 rw 0 0\n", 0o644)
		}, []string{"--jit", name}, "tmpfs"},
		{"no overlay", func(b *sandbox) { b.write("no-overlay", "", 0o644) }, []string{"--jit", name}, "unknown filesystem type 'overlay'"},
		{"no more tmpfs", func(b *sandbox) { b.write("no-tmpfs", "", 0o644) }, []string{"--jit", name}, "in memory"},
		{"swap that stays", func(b *sandbox) {
			b.write("proc/swaps", swaps, 0o644)
			b.write("no-swapoff", "", 0o644)
		}, []string{"--jit", name}, "Cannot allocate memory"},
		{"systemd refuses", func(b *sandbox) {
			b.systemd("echo 'Failed to connect to bus' >&2; exit 1")
		}, []string{"--jit", name}, "Failed to connect to bus"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newSandbox(t, []string{"/bin/sh"})
			tc.breaks(b)
			r := b.call(identity, tc.args...)
			if r.code != 4 || r.out != "" || !strings.Contains(r.err, tc.words) {
				t.Errorf("%+v, want 4 and %q", r, tc.words)
			}
			b.wantUntouched()
		})
	}
}

// wantUntouched checks that a refused call left no identity, no state and no listener.
func (b *sandbox) wantUntouched() {
	b.t.Helper()
	for _, file := range []string{"identity", "identity.sha256", "runner", "lock", "handed-over", "result.json"} {
		if b.exists("run/mayfly/" + file) {
			b.t.Errorf("left %s behind", file)
		}
	}
	if left, _ := filepath.Glob(b.path("run/mayfly/incoming*")); len(left) > 0 {
		b.t.Errorf("left %v behind", left)
	}
	if b.exists("power") || len(b.calls("Runner.Listener")) > 0 {
		b.t.Error("started something")
	}
}

func (b *sandbox) remove(rel string) {
	b.t.Helper()
	if err := os.Remove(b.path(rel)); err != nil {
		b.t.Fatal(err)
	}
}

// systemd makes the sandbox a guest with systemd, whose systemd-run is the script given; but the guard just runs.
func (b *sandbox) systemd(script string) {
	b.t.Helper()
	if err := os.MkdirAll(b.path("run/systemd/system"), 0o755); err != nil {
		b.t.Fatal(err)
	}
	b.write("bin/systemd-run", `#!/bin/sh
root=${0%/bin/systemd-run}
for last; do :; done
if [ "$last" = --guard ]; then
  printf '%s\n' "$@" >"$root/guard"
  while [ "${1#--}" != "$1" ]; do shift; done
  exec setsid --fork "$@" </dev/null >/dev/null 2>&1
fi
`+script+"\n", 0o755)
	b.write("bin/systemctl", "#!/bin/sh\n[ -e \"${0%/bin/systemctl}/unit\" ] && echo loaded || echo not-found\n", 0o755)
}

func TestSystemdTakesTheListenerOver(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.systemd(`printf '%s\n' "$@" >"$root/unit"
while [ "${1#--}" != "$1" ]; do shift; done
setsid --fork "$@" </dev/null >"$root/journal" 2>&1`)
		b.act(runs, succeeded)
		b.deliver("--linger", "100")
		b.untilOff()
		unit := b.read("unit")
		for _, want := range []string{
			"--no-block", "--unit=mayfly-runner", "--property=SuccessAction=poweroff-force",
			"--property=FailureAction=poweroff-force", "--property=OOMPolicy=continue",
		} {
			if !strings.Contains(unit, want+"\n") {
				t.Errorf("systemd-run without %s:\n%s", want, unit)
			}
		}
		if strings.Contains(unit, identity) {
			t.Errorf("the identity is in the unit:\n%s", unit)
		}
		if !strings.Contains(b.read("journal"), "Running job: build") {
			t.Errorf("journal without the listener's output:\n%s", b.read("journal"))
		}
	})
}

func TestUnitThatIsThereAlreadyIsASuccess(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.systemd("echo 'Unit mayfly-runner.service already exists.' >&2; exit 1")
	b.write("unit", "", 0o644) // a delivery that died just after systemd-run
	b.write("run/mayfly/ended", "", 0o644)
	if r := b.call(identity, "--jit", name); r.code != 0 {
		t.Errorf("%+v, want 0", r)
	}
}

// TestIdentityIsInNoArgumentNoLogAndNoFile looks everywhere while the job runs, and again when it is over.
func TestIdentityIsInNoArgumentNoLogAndNoFile(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.act(`echo >"$root/record/there"`, `while [ ! -e "$root/go" ]; do /bin/sleep 0.02; done`, runs, succeeded)
	// This listener notes nothing: its notes would hold the identity.
	b.write("opt/actions-runner/bin/Runner.Listener", "#!/bin/sh\nroot=${PWD%/opt/actions-runner}\n. \"$root/act\"\n", 0o755)
	b.deliver()
	b.until("the listener", func() bool { return b.exists("record/there") })

	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	for _, file := range lines {
		if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte(identity)) {
			t.Errorf("%s holds the identity", file)
		}
	}
	want := []string{"run/mayfly/identity"} // in memory
	if got := b.holders(); len(got) != 1 || got[0] != want[0] {
		t.Errorf("files with the identity: %v, want %v", got, want)
	}
	for path, mode := range map[string]fs.FileMode{"run/mayfly": fs.ModeDir | 0o700, "run/mayfly/identity": 0o600} {
		if info, err := os.Stat(b.path(path)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, mode)
		}
	}
	b.write("go", "", 0o644)
	b.untilOff()
	if got := b.holders(); len(got) != 0 {
		t.Errorf("files with the identity at the end: %v", got)
	}
}

// holders lists the files of the sandbox that contain the identity.
func (b *sandbox) holders() []string {
	b.t.Helper()
	var found []string
	err := filepath.WalkDir(b.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // files come and go meanwhile
		}
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(identity)) {
			rel, _ := filepath.Rel(b.root, path)
			found = append(found, rel)
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

func TestProbeTellsHowFarTheGuestIs(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.act(`while [ ! -e "$root/job" ]; do /bin/sleep 0.02; done`, runs,
			`while [ ! -e "$root/go" ]; do /bin/sleep 0.02; done`, succeeded)
		b.wantProbe("ready", "", false)
		b.deliver()
		b.wantProbe("delivered", name, false)
		b.write("job", "", 0o644)
		b.until("the job", func() bool { return strings.Contains(b.read("run/mayfly/listener.log"), "Running job") })
		b.wantProbe("delivered", name, true)
		b.write("go", "", 0o644)
		b.untilOff()
		b.wantProbe("done", name, true)
		versions := 0
		for _, call := range b.calls("Runner.Listener") {
			if call["args"] == "--version" {
				versions++
			}
		}
		if versions != 1 {
			t.Errorf("the listener was asked for its version %d times, want once", versions)
		}
	})
}

func (b *sandbox) wantProbe(state, runner string, started bool) {
	b.t.Helper()
	r := b.call("", "--probe")
	if r.code != 0 || r.err != "" || strings.Count(r.out, "\n") != 1 {
		b.t.Fatalf("probe: %+v, want one line", r)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		b.t.Fatalf("probe: %v in %s", err, r.out)
	}
	for key, want := range map[string]any{
		"contract": 2.0, "state": state, "runner": runner, "job_started": started,
		"runner_version": "2.335.1", "image": `ubuntu-2204 "test" \ image`,
		"route": true, "dns": true, "listener": true,
	} {
		if got[key] != want {
			b.t.Errorf("probe says %s %v, want %v", key, got[key], want)
		}
	}
}

func TestProbeOfABareImage(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.remove("etc/mayfly-image")
	b.remove("opt/actions-runner/bin/Runner.Listener")
	r := b.call("", "--probe")
	want := `{"contract":2,"state":"ready","runner":"","runner_version":"","image":"","job_started":false,"route":true,"dns":true,"listener":false}` + "\n"
	if r.code != 0 || r.out != want {
		t.Errorf("probe: %+v, want %s", r, want)
	}
	b.write("opt/actions-runner/runner-version", "2.334.0\n", 0o644)
	if r := b.call("", "--probe"); !strings.Contains(r.out, `"runner_version":"2.334.0"`) {
		t.Errorf("probe: %+v, want the version that the image states", r)
	}
}

func TestVersionNamesTheContract(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	if r := b.call("", "--version"); r.code != 0 || r.out != "run-once 2 (contract 2)\n" {
		t.Errorf("version: %+v", r)
	}
	r := b.call("", "--help")
	for _, option := range regexp.MustCompile(`--[a-z-]+`).FindAllString(b.read("opt/actions-runner/run-once.sh"), -1) {
		switch option {
		case "--user", "--linger", "--max-wait", "--max-life", "--jit", "--token", "--probe", "--version", "--help":
			if !strings.Contains(r.out, option) {
				t.Errorf("help doesn't name %s", option)
			}
		}
	}
	if r.code != 0 {
		t.Errorf("help: %+v", r)
	}
}
