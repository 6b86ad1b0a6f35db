//go:build release

package release

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/test/process"
)

func TestMain(m *testing.M) { os.Exit(process.Main(m, 0)) }

// TestPackageInstallsStartsUpgradesAndPurges takes dispatcher/README.md at its word, in a container with systemd and against the stand-ins.
func TestPackageInstallsStartsUpgradesAndPurges(t *testing.T) {
	var proxmox pve.Info
	var github gh.Info
	log := &process.Journal{}
	process.StandIn(t, log, &proxmox, "pve", "--timing", "demo", "--log-level", "error")
	process.StandIn(t, log, &github, "gh", "--timing", "demo", "--log-level", "error")
	c := newContainer(t)
	first := onlyPackage(t)
	second := repack(c, first, "+next")
	for _, deb := range []string{first, second} {
		data, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		c.write("/var/tmp/"+filepath.Base(deb), string(data), 0o644)
	}

	c.run("dpkg", "--install", "/var/tmp/"+filepath.Base(first))
	if state, _ := c.try("systemctl", "is-active", "mayfly"); state != "inactive" {
		t.Errorf("after the first installation the service is %s; it isn't configured yet", state)
	}
	if got := c.run("stat", "-c", "%a %U", "/etc/mayfly/dispatcher.env"); got != "600 root" {
		t.Errorf("dispatcher.env is %s", got)
	}

	// A wrong configuration ends it for good, and says why.
	c.run("systemctl", "enable", "mayfly")
	_, _ = c.try("systemctl", "start", "mayfly")
	c.until("an unconfigured service fails", func() bool { return c.property("ActiveState") == "failed" })
	if code := c.property("ExecMainStatus"); code != "2" {
		t.Errorf("without secrets it ends with %s", code)
	}

	configure(c, proxmox, github)
	c.run("systemctl", "restart", "mayfly")
	c.until("the service is ready", func() bool { return strings.HasPrefix(c.property("StatusText"), "ready; ") })
	if state := c.run("systemctl", "is-active", "dispatcher"); state != "active" {
		t.Errorf("systemctl is-active dispatcher: %s", state)
	}
	old := c.property("MainPID")
	confined(c, old, proxmox.TokenSecret, github.Token)

	// An upgrade restarts it, and keeps what the administrator wrote.
	c.run("dpkg", "--install", "/var/tmp/"+filepath.Base(second))
	c.until("the new version is ready", func() bool {
		return c.property("MainPID") != old && strings.HasPrefix(c.property("StatusText"), "ready; ")
	})
	if got := c.run("dpkg-query", "--show", "--showformat=${Version}", "mayfly"); !strings.HasSuffix(got, "+next") {
		t.Errorf("version %s after the upgrade", got)
	}
	if got := c.run("cat", "/etc/mayfly/dispatcher.env"); !strings.Contains(got, proxmox.TokenSecret) {
		t.Error("the upgrade took the configuration away")
	}

	c.run("dpkg", "--remove", "mayfly")
	if state, _ := c.try("systemctl", "is-active", "mayfly"); state == "active" {
		t.Error("removed and still running")
	}
	c.run("test", "-f", "/etc/mayfly/dispatcher.env")
	c.run("dpkg", "--purge", "mayfly")
	c.run("rm", "/var/tmp/"+filepath.Base(first), "/var/tmp/"+filepath.Base(second))
	if left := c.run("find", "/", "-xdev", "(", "-name", "*mayfly*", "-o", "-name", "dispatcher.service", ")", "-not", "-path", "/var/log/*"); left != "" {
		t.Errorf("a purge leaves\n%s", left)
	}
}

// onlyPackage is the .deb for this machine that make release left in dist.
func onlyPackage(t *testing.T) string {
	t.Helper()
	pattern := filepath.Join("..", "..", "dist", "mayfly_*_"+runtime.GOARCH+".deb")
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %d packages; run make release", pattern, len(found))
	}
	return found[0]
}

// repack makes a later version of the package with the same files.
func repack(c *container, deb, suffix string) string {
	c.t.Helper()
	dir := filepath.Join(c.t.TempDir(), "next")
	c.here(patience, "dpkg-deb", "--raw-extract", deb, dir)
	control := filepath.Join(dir, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		c.t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "Version: ") {
			lines[i] += suffix
		}
	}
	if err := os.WriteFile(control, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		c.t.Fatal(err)
	}
	c.here(patience, "dpkg-deb", "--root-owner-group", "--build", dir, dir+".deb")
	return dir + ".deb"
}

// configure does as the README says, each way of it once: most in dispatcher.env, with export as in the example, one secret
// in a file of its own, one key in mayfly.yaml.
func configure(c *container, proxmox pve.Info, github gh.Info) {
	c.t.Helper()
	var env strings.Builder
	for _, v := range [][2]string{
		{"PROXMOX_URL", proxmox.URL},
		{"PROXMOX_FINGERPRINT", proxmox.Fingerprint},
		{"PROXMOX_NODE", proxmox.Node},
		{"PROXMOX_TOKEN_ID", proxmox.TokenID},
		{"PROXMOX_TOKEN_SECRET", proxmox.TokenSecret},
		{"PROXMOX_POOL", proxmox.ResourcePool},
		{"GITHUB_API_URL", github.APIURL},
		{"REPO_URL", "https://github.com/" + github.Repository},
	} {
		fmt.Fprintf(&env, "export %s='%s'\n", v[0], v[1])
	}
	c.write("/etc/mayfly/dispatcher.env", env.String(), 0o600)
	c.write("/etc/credstore/mayfly.github_token", github.Token+"\n", 0o600)
	// The container has this machine's ports.
	c.write("/etc/mayfly/mayfly.yaml", "web:\n  listen: 127.0.0.1:0\n", 0o644)
}

// confined wants the service's process to be nobody's, to hold its secrets where only it can see them, and to have told no one.
func confined(c *container, pid string, secrets ...string) {
	c.t.Helper()
	if user := c.run("stat", "-c", "%u", "/proc/"+pid); user == "0" {
		c.t.Error("the service runs as root")
	}
	if status := c.run("cat", "/proc/"+pid+"/status"); !strings.Contains(status, "CapEff:\t0000000000000000") || !strings.Contains(status, "NoNewPrivs:\t1") || !strings.Contains(status, "Seccomp:\t2") {
		c.t.Errorf("the service's process:\n%s", status)
	}
	if restarts := c.property("NRestarts"); restarts != "0" {
		c.t.Errorf("restarted %s times", restarts)
	}
	for where, text := range map[string]string{
		"the journal":             c.run("journalctl", "--no-pager", "--output=export"),
		"the process environment": c.run("cat", "/proc/"+pid+"/environ"),
		"the command line":        c.run("cat", "/proc/"+pid+"/cmdline"),
		"the unit's properties":   c.run("systemctl", "show", "mayfly"),
	} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				c.t.Errorf("a secret is in %s", where)
			}
		}
	}
}
