package bootstrap_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha512"
	"debug/elf"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mayfly/internal/bootstrap"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

const templateURL = "http://appliances.example/debian-12-standard_12.12-1_amd64.tar.zst"

// world is a Proxmox VE, a web server with a template, and whatever plays the dispatchers.
type world struct {
	t   *testing.T
	pve *pve.Server
	web web
	// inside is what a dispatcher does; nil becomes ready.
	inside func(ctx context.Context, w *world, c *pve.Container)
	// opened are the secrets that the dispatchers found, by VMID; mu guards it.
	opened map[int]map[string]runner.Secret
	mu     sync.Mutex
	steps  []string
	// token is bootstrap's: id and secret; none is the fleet's.
	token []string
	// wrap stands between bootstrap and Proxmox.
	wrap func(http.RoundTripper) http.RoundTripper
}

// web serves files by URL; one that it lacks is a refused connection.
type web map[string][]byte

func (f web) RoundTrip(r *http.Request) (*http.Response, error) {
	body, ok := f[r.URL.String()]
	if !ok {
		return nil, errors.New("dial tcp: connect: no route to host")
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Request: r, Header: http.Header{},
	}, nil
}

// newWorld makes one whose index names a small template. It is for use in a bubble.
func newWorld(t *testing.T, o pve.Options) *world {
	t.Helper()
	w := &world{t: t, opened: map[int]map[string]runner.Secret{}}
	template := compress(t, "zstd", pack(t, member{Name: "./etc/", Type: tar.TypeDir, Mode: 0o755}, member{Name: "./etc/debian_version", Type: tar.TypeReg, Mode: 0o644, Body: "12.12\n"}))
	sum := sha512.Sum512(template)
	w.web = web{templateURL: template}
	o.MayUpload = true
	o.Appliances = append(o.Appliances, pve.Appliance{Template: "debian-12-standard_12.12-1_amd64.tar.zst", Location: templateURL, SHA512: hex.EncodeToString(sum[:])})
	o.Container = func(ctx context.Context, c *pve.Container) {
		if c.Start == 1 {
			found := openIn(t, c)
			w.mu.Lock()
			w.opened[c.VMID] = found
			w.mu.Unlock()
		}
		if w.inside != nil {
			w.inside(ctx, w, c)
			return
		}
		w.says(ctx, c.VMID, bootstrap.Word{Ready: true})
	}
	w.pve = pve.New(o)
	t.Cleanup(w.pve.Close)
	return w
}

// openIn does what the first start does: it opens the seal in the archive with the key that came another way.
func openIn(t *testing.T, c *pve.Container) map[string]runner.Secret {
	checkPlain(t, c)
	sealed := readIn(t, c, "./etc/mayfly/sealed.age")
	key, _, ok := bootstrap.TakeKey([]byte(c.AuthorizedKeys))
	secrets, err := bootstrap.Open(sealed, key)
	if err != nil || !ok {
		t.Errorf("container %d: key %v, %v", c.VMID, ok, err)
	}
	return secrets
}

// checkPlain demands that no secret is in an archive in the clear, nor its key.
func checkPlain(t *testing.T, c *pve.Container) {
	r, err := c.Archive()
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = r.Close() }()
	z, err := zstd.NewReader(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer z.Close()
	plain, err := io.ReadAll(z)
	if err != nil || !bytes.Contains(plain, []byte("age-encryption.org")) {
		t.Errorf("%d bytes without a seal, %v", len(plain), err)
	}
	for _, secret := range []string{pveSecret, githubSecret, "AGE-SECRET-KEY"} {
		if bytes.Contains(plain, []byte(secret)) {
			t.Errorf("%.8s… is in the archive", secret)
		}
	}
}

// readIn reads a file of the archive that a container was made of.
func readIn(t *testing.T, c *pve.Container, name string) []byte {
	r, err := c.Archive()
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() { _ = r.Close() }()
	z, err := zstd.NewReader(r)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer z.Close()
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if err != nil {
			t.Errorf("container %d: %s: %v", c.VMID, name, err)
			return nil
		}
		if h.Name != name {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Error(err)
		}
		return data
	}
}

// says has a dispatcher say a word after a boot of 20 s, if its container lives so long.
func (w *world) says(ctx context.Context, vmid int, word bootstrap.Word) {
	select {
	case <-time.After(20 * time.Second):
	case <-ctx.Done():
		return
	}
	if err := (bootstrap.Teller{API: clientOf(w.t, w.pve), VMID: vmid}).Tell(ctx, word); err != nil && ctx.Err() == nil {
		w.t.Errorf("container %d: %v", vmid, err)
	}
}

// client is bootstrap's own, with the fleet's token unless another is given.
func (w *world) client(token ...string) *proxmox.Client {
	w.t.Helper()
	info := w.pve.Info()
	o := proxmox.Options{
		Endpoints: []string{info.URL}, TokenID: info.TokenID, TokenSecret: runner.NewSecret(info.TokenSecret), Transport: w.pve.RoundTripper(), Wrap: w.wrap,
	}
	if len(token) == 2 {
		o.TokenID, o.TokenSecret = token[0], runner.NewSecret(token[1])
	}
	c, err := proxmox.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// secrets are what must never be seen anywhere.
const pveSecret, githubSecret = "f00dcafe-0000-4000-8000-5ec2e7000001", "ghp_5ec2e7000000000000000000000000000002"

// spec asks for a container of the installation "ep".
func (w *world) spec() bootstrap.Spec {
	w.t.Helper()
	c := container()
	c.VMID = 0
	return bootstrap.Spec{
		Installation: "ep", Node: "pve1", TokenID: w.pve.Info().TokenID, Container: c, Reserved: []bootstrap.VMIDs{{Start: 200, End: 299}, {Start: 9000, End: 9099}},
		TemplateStorage: "local", Program: program(w.t, elf.EM_X86_64, elf.PT_LOAD), Config: []byte("installation: ep\n"), Version: "1.0.0",
		Secrets: map[string]runner.Secret{bootstrap.ProxmoxTokenSecret: runner.NewSecret(pveSecret), bootstrap.GitHubToken: runner.NewSecret(githubSecret)},
	}
}

// run bootstraps.
func (w *world) run(ctx context.Context, s bootstrap.Spec, token ...string) (bootstrap.Result, error) {
	w.t.Helper()
	w.steps = nil
	return bootstrap.Run(ctx, bootstrap.Options{
		Proxmox: w.client(token...), HTTP: &http.Client{Transport: w.web}, Dir: w.t.TempDir(),
		Progress: func(e bootstrap.Event) {
			if e.New {
				w.steps = append(w.steps, e.Step)
			}
		},
	}, s)
}

// mustRun bootstraps and expects that it goes well.
func (w *world) mustRun(s bootstrap.Spec) bootstrap.Result {
	w.t.Helper()
	r, err := w.run(w.t.Context(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// admin is a client that may do everything.
func (w *world) admin() *proxmox.Client {
	info := w.pve.Info()
	saved := w.wrap
	defer func() { w.wrap = saved }()
	w.wrap = nil
	return w.client(info.AdminTokenID, info.AdminTokenSecret)
}

// running are the VMIDs of containers that run; all are those that there are.
func (w *world) containers() (all, running []int) {
	for _, c := range w.pve.State().Containers {
		all = append(all, c.VMID)
		if c.Status == "running" {
			running = append(running, c.VMID)
		}
	}
	return all, running
}

// checkClean demands that there are these containers with their volumes, no other volume or template, and no secret in
// anything that Proxmox shows.
func (w *world) checkClean(want ...int) {
	w.t.Helper()
	all, running := w.containers()
	if !slices.Equal(all, want) || !slices.Equal(running, want) {
		w.t.Errorf("containers %v, of which %v run; want %v", all, running, want)
	}
	for _, storage := range []string{"local", "local-lvm"} {
		volumes, err := w.admin().Volumes(w.t.Context(), "pve1", storage, "")
		if err != nil {
			w.t.Fatal(err)
		}
		for _, v := range volumes {
			if strings.Contains(v.ID, "mayfly-") || v.Content == "rootdir" && !slices.Contains(want, v.VMID) {
				w.t.Errorf("left: %+v", v)
			}
		}
	}
	w.checkSecrets()
}

// checkSecrets looks into all that Proxmox keeps: configs, task lists and logs, names of volumes.
func (w *world) checkSecrets() {
	w.t.Helper()
	ctx, api := w.t.Context(), w.admin()
	var seen strings.Builder
	for _, c := range w.pve.State().Containers {
		for key, value := range c.Config {
			seen.WriteString(key + "=" + value + "\n")
		}
	}
	tasks, err := api.Tasks(ctx, "pve1", proxmox.TaskFilter{Source: "all", Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, task := range tasks {
		lines, err := api.TaskLog(ctx, task.UPID, 0, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		seen.WriteString(string(task.UPID) + task.ExitStatus + strings.Join(lines, "\n"))
	}
	seen.WriteString(w.clusterLog())
	if !strings.Contains(seen.String(), "update CT") && len(w.pve.State().Containers) > 0 {
		w.t.Error("the cluster's log tells of no change")
	}
	for _, r := range w.pve.State().Requests {
		seen.WriteString(r.Path + "\n")
	}
	for _, secret := range []string{pveSecret, githubSecret, "AGE-SECRET-KEY"} {
		if strings.Contains(seen.String(), secret) {
			w.t.Errorf("%.8s… is to be seen in Proxmox", secret)
		}
	}
}

// rehearse wraps a transport so that nothing is changed.
func rehearse(lines *[]string) func(http.RoundTripper) http.RoundTripper {
	return func(to http.RoundTripper) http.RoundTripper {
		return &bootstrap.Rehearsal{
			To: to, Show: func(line string) { *lines = append(*lines, line) }, Secrets: []runner.Secret{runner.NewSecret(githubSecret)},
		}
	}
}

// clusterLog is the cluster's log as its administrator reads it.
func (w *world) clusterLog() string {
	w.t.Helper()
	info := w.pve.Info()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, info.URL+"/api2/json/cluster/log?max=1000", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "PVEAPIToken="+info.AdminTokenID+"="+info.AdminTokenSecret)
	resp, err := w.pve.RoundTripper().RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s, %v", resp.Status, err)
	}
	return string(text)
}
