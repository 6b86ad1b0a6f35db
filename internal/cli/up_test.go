package cli_test

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"mayfly/internal/bootstrap"
	"mayfly/internal/cli"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// guided is two stand-ins in demo timing, in whose containers `mayfly run` runs, as a part of this process.
type guided struct {
	t   *testing.T
	pve *pve.Server
	gh  *gh.Server
	env []string
	// ran counts dispatchers that were started in containers.
	mu  sync.Mutex
	ran int
}

func newGuided(t *testing.T) *guided {
	t.Helper()
	t.Chdir(t.TempDir())
	g := &guided{t: t, gh: gh.New(gh.Options{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.gh.SetAPIURL("http://" + l.Addr().String())
	served := make(chan error, 1)
	go func() { served <- g.gh.Serve(l) }()
	guests := world.NewGuests(world.GuestOptions{
		Boot: 400 * time.Millisecond, AgentDelay: 100 * time.Millisecond, Shutdown: 100 * time.Millisecond, Linger: 300 * time.Millisecond,
	})
	g.pve = pve.New(pve.Options{MayUpload: true, Timing: pve.DemoTiming(), Engine: guests, Container: g.inside})
	t.Cleanup(func() {
		g.pve.Close()
		guests.Close()
		g.gh.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	if _, err := g.pve.Listen(); err != nil {
		t.Fatal(err)
	}
	p, h := g.pve.Info(), g.gh.Info()
	g.env = []string{
		"PROXMOX_URL=" + p.URL, "PROXMOX_FINGERPRINT=" + p.Fingerprint, "PROXMOX_TOKEN_ID=" + p.TokenID, "PROXMOX_TOKEN_SECRET=" + p.TokenSecret,
		"PROXMOX_POOL=" + p.ResourcePool, "GITHUB_API_URL=" + h.APIURL, "GITHUB_TOKEN=" + h.Token, "REPO_OWNER=NREL", "REPO_NAME=EnergyPlus",
		"RUNNER_LABELS=energyplus,linux", "RUNNER_ID_START=300", "RUNNER_ID_END=319", "POLL_INTERVAL=5", "CT_TEMPLATE=" + debian(t), "HOME=" + t.TempDir(),
	}
	return g
}

// inside runs the dispatcher that is in a container's archive, with the secrets that its first start would open.
func (g *guided) inside(ctx context.Context, c *pve.Container) {
	files := unpack(g.t, c)
	key, _, ok := bootstrap.TakeKey([]byte(c.AuthorizedKeys))
	secrets, err := bootstrap.Open(files["./etc/mayfly/sealed.age"], key)
	if err != nil || !ok {
		g.t.Errorf("open the container's secrets: %v", err)
		return
	}
	path := filepath.Join(g.t.TempDir(), "mayfly.yaml")
	if err := os.WriteFile(path, files["./etc/mayfly/mayfly.yaml"], 0o600); err != nil {
		g.t.Error(err)
		return
	}
	g.mu.Lock()
	g.ran++
	g.mu.Unlock()
	var said bytes.Buffer
	code := cli.Main(ctx, []string{"run", "--config", path, "--listen", "127.0.0.1:0"}, strings.NewReader(""), &said, &said, []string{
		"PROXMOX_TOKEN_SECRET=" + secrets[bootstrap.ProxmoxTokenSecret].Reveal(), "GITHUB_TOKEN=" + secrets[bootstrap.GitHubToken].Reveal(),
		bootstrap.VMIDVariable + "=" + strconv.Itoa(c.VMID),
	})
	if code != cli.ExitOK {
		g.t.Errorf("the dispatcher in container %d ended with %d:\n%s", c.VMID, code, &said)
	}
}

// unpack reads what a container was made of.
func unpack(t *testing.T, c *pve.Container) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	r, err := c.Archive()
	if err != nil {
		t.Error(err)
		return files
	}
	defer r.Close()
	z, err := zstd.NewReader(r)
	if err != nil {
		t.Error(err)
		return files
	}
	defer z.Close()
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if err != nil {
			return files
		}
		if files[h.Name], err = io.ReadAll(archive); err != nil {
			t.Error(err)
		}
	}
}

// debian is a template as far as bootstrap looks at it, and program a program for linux/amd64.
func debian(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range []tar.Header{{Name: "./etc/", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "./etc/debian_version", Typeflag: tar.TypeReg, Mode: 0o644}} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return written(t, "debian.tar", out.Bytes())
}

func program(t *testing.T) string {
	t.Helper()
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT), Ehsize: 64}
	copy(h.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	var out bytes.Buffer
	if err := binary.Write(&out, binary.LittleEndian, h); err != nil {
		t.Fatal(err)
	}
	return written(t, "mayfly", out.Bytes())
}

func written(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// watched is a writer that calls a function once when it has got a text.
type watched struct {
	mu   sync.Mutex
	text strings.Builder
	mark string
	then func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if w.then != nil && w.mark != "" && strings.Contains(w.text.String(), w.mark) {
		w.then()
		w.then = nil
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// up is one call of the guide. At the mark in its output, then is called.
func (g *guided) up(mark string, then func(cancel func()), args ...string) (code int, stdout, stderr string) {
	ctx, cancel := context.WithTimeout(g.t.Context(), 2*patience)
	defer cancel()
	out := &watched{mark: mark, then: func() {
		if then != nil {
			then(cancel)
		}
	}}
	var errs bytes.Buffer
	code = cli.Main(ctx, append([]string{"up", "--yes", "--program", program(g.t)}, args...), strings.NewReader(""), out, &errs, g.env)
	return code, out.String(), errs.String()
}

// left is what a bootstrap may not leave: containers, and its one-off templates.
func (g *guided) left() []string {
	var list []string
	for _, c := range g.pve.State().Containers {
		list = append(list, fmt.Sprintf("container %d", c.VMID))
	}
	p := g.pve.Info()
	api, err := proxmox.New(proxmox.Options{
		Endpoints: []string{p.URL}, Fingerprint: p.Fingerprint, TokenID: p.AdminTokenID, TokenSecret: runner.NewSecret(p.AdminTokenSecret),
	})
	if err != nil {
		g.t.Fatal(err)
	}
	defer api.Close()
	volumes, err := api.Volumes(g.t.Context(), p.Node, "local", "vztmpl")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, v := range volumes {
		if strings.Contains(v.ID, "mayfly-") {
			list = append(list, v.ID)
		}
	}
	return list
}

// TestUpGoesOnWhereItWasInterrupted ends the guide in each step, from no configuration on, and lets the last call end by itself.
func TestUpGoesOnWhereItWasInterrupted(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the stand-ins' end
	g := newGuided(t)
	for _, stop := range []struct{ mark, step string }{
		{"1/5  init", "init"},
		{"2/5  check", "check"},
		{"upload local:vztmpl/", "bootstrap"},
		{"create container", "bootstrap"},
		{"start container", "bootstrap"},
		{"wait for the dispatcher", "bootstrap"},
		{"no job waits yet", "job"},
	} {
		code, out, errs := g.up(stop.mark, func(cancel func()) { cancel() })
		if code != cli.ExitFailure || !strings.HasPrefix(errs, "mayfly: interrupted in step "+stop.step+": ") || strings.Count(errs, "\n") != 1 || strings.Contains(errs, "no word of it") {
			t.Errorf("at %q: exit code %d, stderr:\n%s\nstdout:\n%s", stop.mark, code, errs, out)
		}
		if slices.Contains(g.files(), "mayfly.yaml") { // which has the pool now
			g.env = slices.DeleteFunc(g.env, func(v string) bool { return strings.HasPrefix(v, "REPO_") || strings.HasPrefix(v, "RUNNER_LABELS") })
		}
		if left := g.left(); stop.step != "job" && len(left) > 0 {
			t.Errorf("at %q: left %q", stop.mark, left)
		}
	}
	code, out, errs := g.up("no job waits yet", func(func()) {
		g.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "energyplus"}, Duration: time.Second})
	})
	if code != cli.ExitOK || errs != "" {
		t.Fatalf("exit code %d, stderr:\n%s\nstdout:\n%s", code, errs, out)
	}
	for _, words := range []string{
		"1/5  init\n     already done: mayfly.yaml\n", "3/5  image\n     already done: template ubuntu-2204-runner-template\n",
		"4/5  bootstrap\n", "already done: the dispatcher serves in container ", "5/5  job\n", "  done: success\n",
	} {
		if !strings.Contains(out, words) {
			t.Errorf("no %q in:\n%s", words, out)
		}
	}
	if jobs := g.gh.State().Jobs; len(jobs) != 1 || jobs[0].Conclusion != "success" || jobs[0].Starts != 1 {
		t.Errorf("jobs %+v", jobs)
	}
	if n := len(g.pve.State().Containers); n != 1 {
		t.Errorf("%d containers", n)
	}
	if _, out, _ := g.up("", nil); strings.Count(out, "already done: ") != 4 {
		t.Errorf("once more:\n%s", out)
	}
	for _, text := range []string{out, errs} {
		for _, secret := range []string{g.pve.Info().TokenSecret, g.gh.Info().Token} {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is in:\n%s", text)
			}
		}
	}
	if names := slices.Sorted(slices.Values(g.files())); !slices.Equal(names, []string{"github.token", "mayfly.yaml", "proxmox.secret"}) {
		t.Errorf("files %q", names)
	}
}

// files are those in the folder that the guide was called in.
func (g *guided) files() []string {
	entries, err := os.ReadDir(".")
	if err != nil {
		g.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestUpLetsAJobEndThatItServesItself interrupts the guide while the job runs on a dispatcher of its own.
func TestUpLetsAJobEndThatItServesItself(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	g := newGuided(t)
	g.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "energyplus"}, Duration: 3 * time.Second})
	here := []string{"--no-bootstrap", "--listen", "127.0.0.1:0"}
	code, out, errs := g.up("in progress on ", func(cancel func()) { cancel() }, here...)
	if code != cli.ExitFailure || !strings.Contains(errs, "mayfly: interrupted in step job: ") || !strings.Contains(out, "jobs that run may end") {
		t.Errorf("exit code %d, stderr:\n%s\nstdout:\n%s", code, errs, out)
	}
	for _, j := range g.gh.State().Jobs {
		if j.Conclusion != "success" || j.Starts != 1 {
			t.Errorf("job %+v", j)
		}
	}
	for _, v := range g.pve.State().VMs {
		if v.Source != 0 && v.Decoy == "" && v.DestroyedAt == nil {
			t.Errorf("VM %d is left", v.VMID)
		}
	}
	if code, out, _ := g.up("", nil, here...); code != cli.ExitOK || strings.Count(out, "already done: ") != 3 {
		t.Errorf("once more: exit code %d:\n%s", code, out)
	}
}
