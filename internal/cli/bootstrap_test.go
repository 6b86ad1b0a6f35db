package cli_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha512"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mayfly/internal/bootstrap"
	"mayfly/internal/cli"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

// bootstrapWorld is a Proxmox VE that listens, a web server with a template, and the environment of a user.
type bootstrapWorld struct {
	pve *pve.Server
	web *httptest.Server
	env []string
	// inside is what a dispatcher does instead of saying the word; nil for nothing.
	inside func()
	// blocked has the web server refuse.
	blocked atomic.Bool
}

// bootstrapGitHubToken is what no output may show.
const bootstrapGitHubToken = "ghp_5ec2e7000000000000000000000000000009"

// newBootstrapWorld makes one in which dispatchers say the word.
func newBootstrapWorld(t *testing.T, o pve.Options, word bootstrap.Word) *bootstrapWorld {
	t.Helper()
	w := &bootstrapWorld{}
	template := smallTemplate(t)
	sum := sha512.Sum512(template)
	w.web = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if w.blocked.Load() {
			http.Error(rw, "not for you", http.StatusForbidden)
			return
		}
		_, _ = rw.Write(template)
	}))
	t.Cleanup(w.web.Close)
	o.MayUpload, o.Timing = true, pve.DemoTiming()
	o.Appliances = []pve.Appliance{{Template: "debian-12-standard_12.12-1_amd64.tar.zst", Location: w.web.URL + "/debian.tar.zst", SHA512: hex.EncodeToString(sum[:])}}
	o.Container = func(ctx context.Context, c *pve.Container) {
		if w.inside != nil {
			w.inside()
			return
		}
		info := w.pve.Info()
		api, err := proxmox.New(proxmox.Options{
			Endpoints: []string{info.URL}, TokenID: info.TokenID, TokenSecret: runner.NewSecret(info.TokenSecret), Transport: w.pve.RoundTripper(),
		})
		if err != nil {
			t.Error(err)
			return
		}
		if err := (bootstrap.Teller{API: api, VMID: c.VMID}).Insist(ctx, word); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
	w.pve = pve.New(o)
	t.Cleanup(w.pve.Close)
	if _, err := w.pve.Listen(); err != nil {
		t.Fatal(err)
	}
	info := w.pve.Info()
	home := t.TempDir()
	w.env = []string{
		"HOME=" + home, "PROXMOX_URL=" + info.URL, "PROXMOX_FINGERPRINT=" + info.Fingerprint, "PROXMOX_NODE=" + info.Node, "PROXMOX_TOKEN_ID=" + info.TokenID,
		"PROXMOX_TOKEN_SECRET=" + info.TokenSecret, "PROXMOX_POOL=" + info.ResourcePool, "GITHUB_TOKEN=" + bootstrapGitHubToken,
		"REPO_OWNER=NREL", "REPO_NAME=EnergyPlus",
	}
	return w
}

// smallTemplate is a container template as far as a bootstrap looks at it.
func smallTemplate(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(z)
	if err := archive.WriteHeader(&tar.Header{Name: "./etc/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// linuxProgram is the beginning of a program that a container could run.
func linuxProgram(t *testing.T) string {
	t.Helper()
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56}
	copy(h.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	var out bytes.Buffer
	if err := binary.Write(&out, binary.LittleEndian, h); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mayfly")
	if err := os.WriteFile(path, out.Bytes(), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// left are the containers and one-off templates that there are.
func (w *bootstrapWorld) left(t *testing.T) (containers, templates int) {
	t.Helper()
	info := w.pve.Info()
	api, err := proxmox.New(proxmox.Options{
		Endpoints: []string{info.URL}, TokenID: info.AdminTokenID, TokenSecret: runner.NewSecret(info.AdminTokenSecret), Transport: w.pve.RoundTripper(),
	})
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := api.Volumes(t.Context(), info.Node, "local", "vztmpl")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes {
		if strings.HasPrefix(v.Name(), "mayfly-") {
			templates++
		}
	}
	return len(w.pve.State().Containers), templates
}

// checkSilence demands that no secret was printed.
func checkSilence(t *testing.T, w *bootstrapWorld, r result) {
	t.Helper()
	for _, secret := range []string{bootstrapGitHubToken, w.pve.Info().TokenSecret, "AGE-SECRET-KEY"} {
		if strings.Contains(r.stdout+r.stderr, secret) {
			t.Errorf("%.8s… is printed:\n%s%s", secret, r.stdout, r.stderr)
		}
	}
}

func TestBootstrapByCommandInstallsRehearsesAndUpgrades(t *testing.T) {
	w := newBootstrapWorld(t, pve.Options{}, bootstrap.Word{Ready: true})
	program := linuxProgram(t)
	for _, step := range []struct {
		args       []string
		out        string // the last line
		calls      string // part of the output
		containers int
	}{
		{args: []string{"--dry-run"}, out: "dry run: nothing was changed; the dispatcher would be in container 190 on pve1", calls: "ssh-public-keys=***"},
		{out: "the dispatcher serves in container 190 on pve1", containers: 1},
		{out: "the dispatcher serves in container 190 on pve1; nothing has changed (--force makes it anew)", containers: 1},
		{args: []string{"--ct-memory", "1GiB", "--dry-run"}, out: "dry run: nothing was changed; the dispatcher would be in container 191 on pve1", calls: "memory=1024", containers: 1},
		{args: []string{"--ct-memory", "1GiB", "--ha"}, out: "HA: the token may not change it (Sys.Console on /); on a node run: ha-manager add ct:191 --state started", containers: 1},
	} {
		r := mayfly(t, w.env, append([]string{"bootstrap", "--ct-id", "190", "--program", program}, step.args...)...)
		lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
		if r.code != cli.ExitOK || lines[len(lines)-1] != step.out || !strings.Contains(r.stdout, step.calls) {
			t.Fatalf("%v: exit code %d\n%s%s", step.args, r.code, r.stdout, r.stderr)
		}
		checkSilence(t, w, r)
		if containers, templates := w.left(t); containers != step.containers || templates != 0 {
			t.Errorf("%v: %d containers, %d templates", step.args, containers, templates)
		}
	}
}

func TestBootstrapByCommandFailsInOneLineAndLeavesNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		options pve.Options
		word    bootstrap.Word
		before  func(*testing.T, *bootstrapWorld)
		args    []string
		want    []string
	}{
		"download blocked":        {before: func(_ *testing.T, w *bootstrapWorld) { w.blocked.Store(true) }, want: []string{"download container template", "403 Forbidden", "set CT_TEMPLATE"}},
		"template missing":        {args: []string{"--ct-template", "/nowhere.tar.zst"}, want: []string{"/nowhere.tar.zst", "set CT_TEMPLATE"}},
		"program missing":         {args: []string{"--program", "/nowhere/mayfly"}, want: []string{"/nowhere/mayfly", "--program"}},
		"VMID taken":              {args: []string{"--ct-id", "300"}, before: takenVMID, want: []string{"300 is taken", "set CT_ID"}},
		"storage without rootdir": {args: []string{"--ct-storage", "local"}, want: []string{"takes no disks of containers", "set CT_STORAGE to one that does: local-lvm"}},
		"storage without vztmpl":  {args: []string{"--ct-template-storage", "local-lvm"}, want: []string{"takes no container templates", "set CT_TEMPLATE_STORAGE to one that does: local"}},
		"wrong bridge":            {args: []string{"--ct-bridge", "vmbr7"}, want: []string{"SDN.Use", "vmbr7"}},
		"upload folder full":      {options: pve.Options{UploadRoom: 1000}, want: []string{"/var/tmp", "free"}},
		"no way to GitHub":        {word: bootstrap.Word{Reason: "GitHub can't be reached: dial tcp: i/o timeout"}, want: []string{"GitHub can't be reached"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.word == (bootstrap.Word{}) {
				tc.word.Ready = true
			}
			w := newBootstrapWorld(t, tc.options, tc.word)
			args := append([]string{"bootstrap", "--program", linuxProgram(t)}, tc.args...)
			before, _ := w.left(t)
			if tc.before != nil {
				tc.before(t, w)
				before, _ = w.left(t)
			}
			r := mayfly(t, w.env, args...)
			var errs []string
			for line := range strings.Lines(r.stderr) {
				if strings.HasPrefix(line, "mayfly: ") {
					errs = append(errs, line)
				}
			}
			if r.code != cli.ExitFailure || len(errs) != 1 || r.stdout != "" {
				t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			for _, want := range tc.want {
				if !strings.Contains(errs[0], want) {
					t.Errorf("%s\nwant %q in it", errs[0], want)
				}
			}
			checkSilence(t, w, r)
			if containers, templates := w.left(t); containers != before || templates != 0 {
				t.Errorf("%d containers, %d templates are left", containers, templates)
			}
		})
	}
}

// TestBootstrapByCommandThatIsInterruptedTidiesUp ends it, as Ctrl-C does, when the container has started.
func TestBootstrapByCommandThatIsInterruptedTidiesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := newBootstrapWorld(t, pve.Options{}, bootstrap.Word{Reason: "waits for ever"})
	var started atomic.Bool
	w.inside = func() {
		started.Store(true)
		cancel()
	}
	var stdout, stderr bytes.Buffer
	code := cli.Main(ctx, []string{"bootstrap", "--program", linuxProgram(t)}, strings.NewReader(""), &stdout, &stderr, w.env)
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if last := lines[len(lines)-1]; code != cli.ExitFailure || !started.Load() || !strings.HasPrefix(last, "mayfly: ") || !strings.Contains(last, "interrupted") {
		t.Errorf("exit code %d\n%s", code, stderr.String())
	}
	if containers, templates := w.left(t); containers != 0 || templates != 0 {
		t.Errorf("%d containers, %d templates are left", containers, templates)
	}
}

// takenVMID makes a container that isn't ours.
func takenVMID(t *testing.T, w *bootstrapWorld) {
	info := w.pve.Info()
	api, err := proxmox.New(proxmox.Options{
		Endpoints: []string{info.URL}, TokenID: info.AdminTokenID, TokenSecret: runner.NewSecret(info.AdminTokenSecret), Transport: w.pve.RoundTripper(),
	})
	if err != nil {
		t.Fatal(err)
	}
	upid, err := api.CreateContainer(t.Context(), info.Node, proxmox.NewContainer{
		VMID: 300, Template: "local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst", Options: map[string]string{"rootfs": "local-lvm:1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := api.WaitTask(ctx, upid); err != nil {
		t.Fatal(err)
	}
}
