// Package common_test runs run-once.sh in folders of its own (MAYFLY_ROOT), with stand-ins of the runner, of the clock
// and of the power switch, in every shell that this machine has.
package common_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	identity = "eyJzZWNyZXQiOiAiaml0IGNvbmZpZ3VyYXRpb24ifQ=="
	name     = "ep-0123456789"
	// routeHead is the first line of /proc/net/route.
	routeHead = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	// patience ends a test whose awaited thing never comes; nothing asserts on how long it takes.
	patience = 60 * time.Second
)

// listener stands in for bin/Runner.Listener and config.sh: it notes how it was called and does what the sandbox's
// file "act" says, which is sourced.
const listener = `#!/bin/sh
root=${PWD%/opt/actions-runner}
n=$(ls "$root/record" | grep -c "^$(basename "$0")")
exec 3>"$root/record/$(basename "$0").$n"
{
  echo "args $*"
  echo "user $(id -un) $(id -Gn)"
  echo "umask $(umask)"
  echo "jit ${ACTIONS_RUNNER_INPUT_JITCONFIG:-}"
  echo "token ${ACTIONS_RUNNER_INPUT_TOKEN:-}"
  echo "deprecated ${ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE:-}"
  echo "home ${HOME:-}"
  echo "path ${PATH:-}"
  echo "proxy ${https_proxy:-}"
  sed -n 's/^SigIgn:/sigign/p' /proc/self/status
} >&3
exec 3>&-
[ "$(basename "$0").$1" != Runner.Listener.--version ] || { echo 2.335.1; exit 0; }
. "$root/act"
`

// sandbox is a guest in a folder.
type sandbox struct {
	t     *testing.T
	root  string
	shell []string
	user  string
}

// shells lists the shells of this machine that differ from each other.
func shells(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{"sh": {"/bin/sh"}}
	for _, shell := range [][]string{{"bash"}, {"dash"}, {"busybox", "sh"}} {
		path, err := exec.LookPath(shell[0])
		if err != nil {
			continue
		}
		if sh, err := filepath.EvalSymlinks("/bin/sh"); err == nil && filepath.Base(sh) == shell[0] {
			continue // it is sh
		}
		found[shell[0]] = append([]string{path}, shell[1:]...)
	}
	return found
}

// inEveryShell runs a test once with each shell.
func inEveryShell(t *testing.T, test func(*testing.T, *sandbox)) {
	t.Helper()
	for label, shell := range shells(t) {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			test(t, newSandbox(t, shell))
		})
	}
}

// newSandbox makes a good guest: the runner's folder, a /run in memory, a user, an hour that lasts half a minute.
func newSandbox(t *testing.T, shell []string) *sandbox {
	t.Helper()
	b := &sandbox{t: t, root: t.TempDir(), shell: shell}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	b.user = me.Username
	if me.Uid == "0" { // then the script has to change users, as in a guest
		b.user = "nobody"
		if err := os.Chmod(filepath.Dir(b.root), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script, err := os.ReadFile("run-once.sh")
	if err != nil {
		t.Fatal(err)
	}
	b.write("opt/actions-runner/run-once.sh", string(script), 0o755)
	b.write("opt/actions-runner/bin/Runner.Listener", listener, 0o755)
	b.write("opt/actions-runner/config.sh", listener, 0o755)
	b.write("opt/actions-runner/.credentials", "left by the listener", 0o644)
	b.write("proc/mounts", "sysfs /sys sysfs rw 0 0\n/dev/vda1 / ext4 rw 0 0\ntmpfs /run tmpfs rw,nosuid 0 0\n", 0o644)
	b.write("etc/mayfly-image", "ubuntu-2204 \"test\" \\ image\nsecond line\n", 0o644)
	b.write("etc/environment", "# proxies\nhttps_proxy=\"http://proxy:3128\"\nbad-key=1\nJUNK\n", 0o644)
	b.write("sbin/poweroff", "#!/bin/sh\necho off >>\"${0%/sbin/poweroff}/power\"\n", 0o755)
	// A second lasts 20 ms.
	b.write("bin/sleep", "#!/bin/sh\nexec /bin/sleep \"$(awk \"BEGIN{print $1/50}\")\"\n", 0o755)
	b.write("bin/sh", "#!/bin/sh\nexec "+strings.Join(shell, " ")+" \"$@\"\n", 0o755)
	b.write("bin/getent", "#!/bin/sh\n[ \"$*\" = 'ahosts github.com.' ] && [ ! -e \"${0%/bin/getent}/mute\" ]\n", 0o755)
	b.write("proc/net/route", routeHead+"eth0\t00000000\t0202000A\t0003\t0\t0\t1024\t00000000\t0\t0\t0\n", 0o644)
	b.mounts()
	b.write("act", "exit 0\n", 0o644)
	for _, dir := range []string{"record", "run", "opt/actions-runner"} {
		if err := os.MkdirAll(b.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(b.path(dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(b.end)
	return b
}

// end waits until nothing of the sandbox runs, and kills what a failed test left.
func (b *sandbox) end() {
	deadline := time.Now().Add(5 * time.Second)
	for {
		left := b.processes()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			b.t.Errorf("processes left behind: %v", left)
			for pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// processes finds what runs with this sandbox in its environment or arguments: process id to command line.
func (b *sandbox) processes() map[int]string {
	found := map[int]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if len(cmdline) > 0 && bytes.Contains(slices.Concat(environ, []byte{0}, cmdline), []byte(b.root+"\x00")) ||
			bytes.Contains(cmdline, []byte(b.root+"/")) {
			found[pid] = strings.ReplaceAll(string(cmdline), "\x00", " ")
		}
	}
	return found
}

func (b *sandbox) path(rel string) string { return filepath.Join(b.root, rel) }

func (b *sandbox) write(rel, text string, mode os.FileMode) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(rel)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	// A process that another test forks meanwhile would hold the file open for writing until it becomes its program, and
	// such a file can't be executed (ETXTBSY).
	syscall.ForkLock.RLock()
	err := os.WriteFile(b.path(rel), []byte(text), mode)
	syscall.ForkLock.RUnlock()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chmod(b.path(rel), mode); err != nil {
		b.t.Fatal(err)
	}
}

// link makes a symbolic link.
func (b *sandbox) link(rel, to string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(rel)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Symlink(to, b.path(rel)); err != nil {
		b.t.Fatal(err)
	}
}

// read gives a file's text, "" when there is none.
func (b *sandbox) read(rel string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.path(rel))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *sandbox) exists(rel string) bool {
	_, err := os.Lstat(b.path(rel))
	return err == nil
}

// act says what the listener does.
func (b *sandbox) act(lines ...string) { b.write("act", strings.Join(lines, "\n")+"\n", 0o644) }

// reply is how a call of the script ended.
type reply struct {
	code     int
	out, err string
}

// call runs the script and waits until it has ended and closed its output, as the guest agent does.
func (b *sandbox) call(stdin string, args ...string) reply {
	b.t.Helper()
	return b.callAs(nil, stdin, args...)
}

func (b *sandbox) callAs(who *syscall.Credential, stdin string, args ...string) reply {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	words := slices.Concat(b.shell, []string{b.path("opt/actions-runner/run-once.sh")}, args)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = []string{"MAYFLY_ROOT=" + b.root, "PATH=" + b.path("bin") + ":/usr/bin:/bin", "RUNNER_USER=" + b.user}
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		b.t.Fatalf("run-once.sh %q: %v\n%s%s", args, err, out.String(), errOut.String())
	}
	return reply{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// deliver hands over the test's identity and wants exit code 0.
func (b *sandbox) deliver(options ...string) {
	b.t.Helper()
	if r := b.call(identity+"\n", append(options, "--jit", name)...); r.code != 0 || r.out != "" || r.err != "" {
		b.t.Fatalf("deliver: %+v, want 0 and silence", r)
	}
}

// until waits for something to become true.
func (b *sandbox) until(what string, done func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain for %s; listener.log:\n%s", what, b.read("run/mayfly/listener.log"))
		}
	}
}

func (b *sandbox) untilOff() {
	b.t.Helper()
	// The file is there a moment before its line is.
	b.until("power-off", func() bool { return b.exists("power") && b.read("power") != "" })
	if got := b.read("power"); got != "off\n" {
		b.t.Errorf("powered off %q, want once", got)
	}
}

// result is /run/mayfly/result.json.
type result struct {
	Runner     string    `json:"runner"`
	ExitCode   int       `json:"exit_code"`
	Outcome    string    `json:"outcome"`
	JobStarted bool      `json:"job_started"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
}

func (b *sandbox) result() result {
	b.t.Helper()
	var r result
	dec := json.NewDecoder(strings.NewReader(b.read("run/mayfly/result.json")))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		b.t.Fatalf("result.json: %v", err)
	}
	return r
}

// calls gives what each start of a program noted, by key.
func (b *sandbox) calls(program string) []map[string]string {
	b.t.Helper()
	var all []map[string]string
	for i := 0; ; i++ {
		text := b.read(fmt.Sprintf("record/%s.%d", program, i))
		if text == "" {
			return all
		}
		noted := map[string]string{}
		for line := range strings.Lines(text) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			noted[key] = strings.TrimSpace(value)
		}
		// "sigign<TAB>0000…"
		for key, value := range noted {
			if rest, ok := strings.CutPrefix(key, "sigign"); ok {
				noted["sigign"] = strings.TrimSpace(rest + value)
			}
		}
		all = append(all, noted)
	}
}
