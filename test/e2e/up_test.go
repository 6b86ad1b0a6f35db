//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/test/roles"
)

// guideToken may do what docs/roles.yaml says for all that the guide does, and no more.
func guideToken(t *testing.T) (pve.Token, []pve.Role) {
	t.Helper()
	file := roles.Read(t)
	var needs []roles.Need
	for _, command := range []string{"run", "build", "bootstrap"} {
		needs = append(needs, file.Needs(t, command, 9)...)
	}
	return roles.Token("mayfly@pve!dispatcher", "5d3c1b0a-9e8f-4a7b-8c6d-0f1e2d3c4b5a", needs)
}

// guide is a cluster, and somebody who follows the guide in a folder of their own.
type guide struct {
	*cluster
	program, folder string
	hide            *strings.Replacer // what differs from call to call, by what stands for it
	transcript      strings.Builder
	env             []string // of all calls
}

// TestFromNothingToTheFirstJob is mayfly up from no configuration to the first job, with one interruption in the middle of the
// image's build. Machines are real, and so are the dispatcher in the container and each call of mayfly up, as processes.
func TestFromNothingToTheFirstJob(t *testing.T) {
	t.Parallel()
	g := newGuide(t)
	proxmox, github := g.pve.Info(), g.gh.Info()
	g.call([]string{
		"PROXMOX_URL=" + proxmox.URL, "PROXMOX_TOKEN_ID=mayfly@pve!dispatcher", "PROXMOX_TOKEN_SECRET=" + g.secret(), "PROXMOX_POOL=ci",
		"GITHUB_API_URL=" + github.APIURL, "GITHUB_TOKEN=" + github.Token, "REPO_OWNER=NREL", "REPO_NAME=EnergyPlus", "TEMPLATE_IMAGE=debian-12",
		"RUNNER_ID_START=300", "RUNNER_ID_END=319",
	}, "", nil, "--yes", "--pin-certificate", "--until", "check").wants(0)
	g.settings()

	g.call(nil, "     pve1          provision", func(p *os.Process) { _ = p.Signal(os.Interrupt) }).wants(1)
	if len(g.machine.Running()) > 0 || len(g.machine.Disks()) > 0 {
		t.Errorf("left by the interrupted build: running %v, disks %v", g.machine.Running(), g.machine.Disks())
	}

	var job int64
	g.call(nil, "no job waits yet", func(*os.Process) {
		job = g.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "energyplus"}, Steps: []gh.StepSpec{{Run: "cat /etc/mayfly-image; sleep 5"}}})[0]
	}).wants(0)
	for _, j := range g.gh.State().Jobs {
		if j.ID != job || j.Conclusion != "success" || j.Starts != 1 || !strings.Contains(j.Log, "debian-12 20") {
			t.Errorf("job %d: %s after %d starts; its log:\n%s", j.ID, j.Conclusion, j.Starts, j.Log)
		}
	}
	if all := g.call(nil, "", nil); all.code != 0 || strings.Count(all.said, "already done: ") != 4 {
		t.Errorf("once more: exit code %d:\n%s", all.code, all.said)
	}
	if c := g.pve.State().Containers; len(c) != 1 || c[0].Status != "running" {
		t.Errorf("containers %+v", c)
	}
	for _, secret := range []string{g.secret(), github.Token} {
		if strings.Contains(g.transcript.String(), secret) {
			t.Error("a secret is in what was printed")
		}
	}
	g.wantDecoysUntouched()
	g.wantTranscript()
}

func newGuide(t *testing.T) *guide {
	t.Helper()
	token, made := guideToken(t)
	g := &guide{program: upProgram(t), folder: t.TempDir()}
	inside := &dispatchers{t: t}
	im := image(t, "vendor")
	g.cluster = newClusterThat(t, im, pve.Options{
		Tokens: []pve.Token{token}, Roles: made, Dir: t.TempDir(), Container: inside.run, Web: web{mirror: filepath.Join(im.Dir, im.Disk)},
	})
	g.env = []string{"HOME=" + g.folder, "CT_TEMPLATE=" + bareTemplate(t)}
	g.hide = strings.NewReplacer(g.pve.Info().URL, "https://pve1:8006", g.gh.Info().APIURL, "https://github.com", g.folder, "~")
	return g
}

// mirror is where nodes fetch Debian's cloud image.
const mirror = "https://mirror.example.org/debian-12.qcow2"

// web is all that nodes reach: files of this machine, by URL.
type web map[string]string

// RoundTrip implements [http.RoundTripper].
func (w web) RoundTrip(r *http.Request) (*http.Response, error) {
	path, ok := w[r.URL.String()]
	if !ok {
		return nil, fmt.Errorf("dial tcp: lookup %s: no such host", r.URL.Hostname())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", Header: http.Header{}, Body: f, ContentLength: info.Size(), Request: r}, nil
}

// secret is that of the guide's token.
func (g *guide) secret() string {
	token, _ := guideToken(g.t)
	return token.Secret
}

// settings writes into mayfly.yaml what nobody else needs: where a machine without a network has its packages from, and
// time, as its processors may be emulated.
func (g *guide) settings() {
	g.t.Helper()
	im := image(g.t, "vendor")
	note, err := os.ReadFile(filepath.Join(im.Dir, "runner"))
	if err != nil {
		g.t.Fatal(err)
	}
	sum, version, _ := strings.Cut(strings.TrimSpace(string(note)), " ")
	path := filepath.Join(g.folder, "mayfly.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		g.t.Fatal(err)
	}
	whole := string(text)
	for line, more := range map[string]string{
		"\nimage:\n": fmt.Sprintf(`  cores: 1
  memory: 1GiB
  disk: 3GiB
  timeout: 20m
  runner_version: %s
  runner_sha256: %s
  runner_url: file:///var/lib/mayfly-test/actions-runner.tar.gz
  packages_installed: true
  sources: [{name: debian-12, url: "%s", checksum: "sha256:%s"}]
`, version, sum, mirror, sha256File(g.t, filepath.Join(im.Dir, im.Disk))),
		"\n    target: NREL/EnergyPlus  # REPO_NAME\n": "    boot_timeout: 10m\n",
	} {
		if strings.Count(whole, line) != 1 {
			g.t.Fatalf("no single %q in mayfly.yaml:\n%s", line, whole)
		}
		whole = strings.Replace(whole, line, line+more, 1)
	}
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		g.t.Fatal(err)
	}
	g.transcript.WriteString("$ $EDITOR mayfly.yaml   # a mirror in image.sources, as these nodes have no way out\n")
}

// called is what one call of mayfly up did.
type called struct {
	t    *testing.T
	code int
	said string
}

func (c called) wants(code int) {
	c.t.Helper()
	if c.code != code {
		c.t.Fatalf("exit code %d, want %d:\n%s", c.code, code, c.said)
	}
}

// upPatience ends a call that never does: an emulated build takes minutes.
const upPatience = 30 * time.Minute

// call runs mayfly up to its end. When it has printed the mark, then is called, once.
func (g *guide) call(env []string, mark string, then func(*os.Process), args ...string) called {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.t.Context()), upPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.program, append([]string{"up"}, args...)...)
	cmd.Dir, cmd.Env = g.folder, append(append([]string{}, g.env...), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var said lockedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for over := false; !over; {
		select {
		case <-ended:
			over = true
		case <-look.C:
		}
		if then != nil && strings.Contains(said.String(), mark) {
			then(cmd.Process)
			then = nil
		}
	}
	if ctx.Err() != nil {
		g.t.Fatalf("mayfly up didn't end within %s:\n%s", upPatience, said.String())
	}
	c := called{g.t, cmd.ProcessState.ExitCode(), said.String()}
	fmt.Fprintf(&g.transcript, "$ %s\n%s", strings.Join(append([]string{"mayfly", "up"}, args...), " "), g.hide.Replace(c.said))
	g.t.Logf("mayfly up %s ended with %d:\n%s", strings.Join(args, " "), c.code, c.said)
	return c
}
