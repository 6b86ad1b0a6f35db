//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/pve/qemu"
)

// buildPatience ends a build that never does. On two nodes at once, emulated, it takes minutes.
const buildPatience = 25 * time.Minute

// buildToken is that of image builds, with the privileges of docs/image-build.md and no more.
var buildToken = pve.Token{
	ID: "mayfly-image@pve!build", Secret: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
	Roles: map[string]string{
		"/pool/ci-templates": "MayflyImage", "/storage/local-lvm": "CIRunnerDS", "/storage/local": "MayflyISO",
		"/sdn/zones/localnetwork/vmbr0": "PVESDNUser", "/nodes": "MayflyDownload",
	},
}

// TestAnImageIsBuiltByTheCommandAndServesJobs is the first user's first hour: mayfly image build makes a template on two
// nodes of a vendor's cloud image, and mayfly run serves a job on each of them.
func TestAnImageIsBuiltByTheCommandAndServesJobs(t *testing.T) {
	t.Parallel()
	program := buildMayfly(t)
	im := image(t, "vendor")
	c := newClusterThat(t, im, pve.Options{Nodes: []string{"pve1", "pve2"}, Tokens: []pve.Token{buildToken}, Dir: t.TempDir()})
	config := c.imageConfig(im)
	env := c.environment(1)
	building := maps.Clone(env)
	building["PROXMOX_TOKEN_ID"], building["PROXMOX_TOKEN_SECRET"] = buildToken.ID, buildToken.Secret

	began := time.Now()
	out, said, err := c.command(program, building, "image", "build", "debian-12", "--config", config)
	t.Logf("mayfly image build took %s and said:\n%s", time.Since(began).Round(time.Second), said)
	if err != nil {
		for _, id := range c.machine.Disks() {
			t.Logf("console of VM %d:\n%s", id, last(c.machine.Console(id), 3000))
		}
		t.Fatal(err)
	}
	for _, node := range []string{"pve1", "pve2"} {
		if !strings.Contains(out, " on "+node+"  runner ") || strings.Count(out, "  promoted\n") != 2 {
			t.Errorf("it printed:\n%s", out)
		}
	}
	var list []struct {
		Image, Node string
		VMID        int
		Promoted    bool
		Contract    int
	}
	if out, said, err = c.command(program, building, "image", "list", "--json", "--config", config); err != nil || json.Unmarshal([]byte(out), &list) != nil || len(list) != 2 {
		t.Fatalf("mayfly image list: %v\n%s\n%s", err, out, said)
	}
	templates := []int{}
	for _, l := range list {
		templates = append(templates, l.VMID)
		if l.Image != "debian-12" || !l.Promoted || l.Contract < 2 {
			t.Errorf("listed %+v", l)
		}
	}
	if disks := c.machine.Disks(); !slices.Equal(slices.Sorted(slices.Values(disks)), slices.Sorted(slices.Values(templates))) || len(c.machine.Running()) > 0 {
		t.Errorf("left by the build: disks %v, running %v; templates %v", disks, c.machine.Running(), templates)
	}

	for _, node := range []string{"pve1", "pve2"} {
		want := c.gh.AddJobs(gh.JobSpec{Name: "on " + node, Labels: []string{"self-hosted", "debian-12"}, Steps: []gh.StepSpec{
			{Run: "cat /etc/mayfly-image; echo user $(id -un)"},
		}})[0]
		env["PROXMOX_NODE"] = node
		m := runMayfly(t, program, env, "--config", config)
		c.untilAllIsOver(m, nil)
		m.stop()
		for _, j := range c.gh.State().Jobs {
			if j.ID == want && (j.Conclusion != "success" || !strings.Contains(j.Log, "debian-12 20") || !strings.Contains(j.Log, "user runner")) {
				t.Errorf("job %q: %s; its log:\n%s", j.Name, j.Conclusion, j.Log)
			}
		}
		if made := c.fleet(); len(made) == 0 || made[len(made)-1].Node != node || !slices.Contains(templates, made[len(made)-1].Source) {
			t.Errorf("no VM on %s was cloned from %v: %+v", node, templates, made)
		}
	}
	c.wantDecoysUntouched()
}

// imageConfig writes a mayfly.yaml that leaves to the environment who asks.
func (c *cluster) imageConfig(im qemu.Image) string {
	c.t.Helper()
	web := httptest.NewServer(http.FileServer(http.Dir(im.Dir)))
	c.t.Cleanup(web.Close)
	note, err := os.ReadFile(filepath.Join(im.Dir, "runner"))
	if err != nil {
		c.t.Fatal(err)
	}
	sum, version, _ := strings.Cut(strings.TrimSpace(string(note)), " ")
	text := fmt.Sprintf(`pools:
  - {name: image, target: %s, labels: [debian-12], image: debian-12, boot_timeout: 10m}
image:
  nodes: [pve1, pve2]
  resource_pool: ci-templates
  cores: 1
  memory: 1GiB
  disk: 3GiB
  timeout: 20m
  runner_version: %s
  runner_sha256: %s
  runner_url: file:///var/lib/mayfly-test/actions-runner.tar.gz
  packages_installed: true
  sources: [{name: debian-12, url: "%s/%s", checksum: "sha256:%s"}]
`, repository, version, sum, web.URL, im.Disk, sha256File(c.t, filepath.Join(im.Dir, im.Disk)))
	path := filepath.Join(c.t.TempDir(), "mayfly.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// command runs a command of the program to its end.
func (c *cluster) command(program string, env map[string]string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), buildPatience)
	defer cancel()
	var out, said strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = c.t.TempDir()
	cmd.Env = []string{"HOME=" + cmd.Dir}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it cleans up then
	cmd.WaitDelay = time.Minute
	err = cmd.Run()
	return out.String(), said.String(), err
}
