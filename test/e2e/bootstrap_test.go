//go:build e2e

package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"mayfly/internal/sim/gh"
)

// TestBootstrappedContainerServesJobs boots what bootstrap uploads, as Proxmox would, and lets it serve a job.
func TestBootstrappedContainerServesJobs(t *testing.T) {
	h := newHouse(t)
	c, said, err := h.bootstrap(h.gh.Info().Token)
	if err != nil || !strings.Contains(said, "the dispatcher serves in container 190 on pve1\n") {
		t.Fatalf("%v\n%s", err, c.report())
	}
	for _, unit := range []string{"mayfly", "dispatcher", "mayfly-first-start"} {
		c.must("systemctl is-active " + unit)
	}
	if status := c.must("systemctl --no-pager status dispatcher"); !strings.Contains(status, `Status: "ready; 0 runners`) {
		t.Errorf("systemctl status dispatcher:\n%s", status)
	}
	if enabled := c.must("systemctl is-enabled mayfly"); enabled != "enabled" {
		t.Errorf("mayfly is %s", enabled)
	}
	h.wantReady(c)
	h.wantOwnersAndModes(c)
	h.wantClosed(c)
	h.wantJobDone(c)
	h.wantNoSecretsLeft(c)

	// The next start finds nothing to open, and the state where it was.
	c.must("touch /var/lib/private/mayfly/kept")
	c.stop()
	c.start()
	c.until("second start", func() bool {
		code, _ := c.sh("systemctl is-active --quiet mayfly")
		return code == 0
	})
	h.wantReady(c)
	h.wantJobDone(c)
	c.must("test -e /var/lib/mayfly/kept")
	c.must("grep -q ' /var/lib/private ' /proc/self/mountinfo")
}

// TestContainerThatCantServeSaysWhyAndIsGone gives the dispatcher a token that GitHub refuses.
func TestContainerThatCantServeSaysWhyAndIsGone(t *testing.T) {
	h := newHouse(t)
	_, said, err := h.bootstrap("github_pat_wrong")
	if err == nil || !regexp.MustCompile(`(?m)^mayfly: .*it can't start: .*401`).MatchString(said) {
		t.Errorf("%v", err)
	}
	if left := h.pve.State().Containers; len(left) != 0 {
		t.Errorf("containers: %+v", left)
	}
}

// wantReady asks /readyz where the dispatcher serves it, on the container's loopback.
func (h *house) wantReady(c *lxc) {
	h.t.Helper()
	const ask = `exec 3<>/dev/tcp/127.0.0.1/9180 && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && head -n 1 <&3`
	c.until("/readyz", func() bool {
		_, out := c.sh(ask)
		return strings.HasPrefix(out, "HTTP/1.0 200 ")
	})
}

// wantOwnersAndModes looks at each file that bootstrap or the first start put there.
func (h *house) wantOwnersAndModes(c *lxc) {
	h.t.Helper()
	for path, want := range map[string]string{
		"/usr/bin/mayfly": "root:root 755", "/etc/mayfly": "root:root 755", "/etc/mayfly/mayfly.yaml": "root:root 644", "/etc/credstore": "root:root 700",
		"/etc/credstore/mayfly.github_token": "root:root 400", "/etc/credstore/mayfly.proxmox_token_secret": "root:root 400",
		"/usr/lib/systemd/system/mayfly.service": "root:root 644", "/etc/systemd/system/mayfly.service.d/container.conf": "root:root 644",
		"/root/.ssh": "root:root 700", "/var/lib/private": "root:root 700",
	} {
		if got := c.must("stat -c '%U:%G %a' " + path); got != want {
			h.t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	for _, gone := range []string{bootstrapSealed, "/root/.ssh/authorized_keys"} {
		if code, out := c.sh("test ! -e " + gone); code != 0 {
			h.t.Errorf("%s is still there %s", gone, out)
		}
	}
	if left := c.must("ls -A /etc/credstore /etc/mayfly /root/.ssh"); strings.Contains(left, "mayfly-new") {
		h.t.Errorf("left behind: %s", left)
	}
}

// bootstrapSealed is where the sealed secrets lie until the first start.
const bootstrapSealed = "/etc/mayfly/sealed.age"

// wantClosed wants the service to be somebody without powers, who can't read what root keeps.
func (h *house) wantClosed(c *lxc) {
	h.t.Helper()
	status := c.must("cat /proc/$(systemctl show --value -p MainPID mayfly)/status")
	for _, want := range []string{`(?m)^Uid:\t6[1-5]\d{3}\t`, `(?m)^CapEff:\t0{16}$`, `(?m)^CapBnd:\t0{16}$`, `(?m)^NoNewPrivs:\t1$`, `(?m)^Seccomp:\t2$`} {
		if !regexp.MustCompile(want).MatchString(status) {
			h.t.Errorf("the dispatcher's process has no %q:\n%s", want, status)
		}
	}
	// What systemd can't do in a container it leaves out without a word that anybody would hear.
	mounts := c.must("cat /proc/$(systemctl show --value -p MainPID mayfly)/mountinfo")
	for _, want := range []string{
		` / ro,`, ` /proc .* proc proc .*hidepid=invisible.*subset=pid`, ` /systemd/inaccessible/dir /root ro,`, ` /dev ro,`, `-mayfly\.service-\S*/tmp /tmp rw,`,
	} {
		if !regexp.MustCompile(want).MatchString(mounts) {
			h.t.Errorf("the dispatcher's mounts have no %q:\n%s", want, mounts)
		}
	}
	for _, ns := range []string{"user", "ipc", "uts", "mnt"} {
		if code, _ := c.sh("test $(readlink /proc/$(systemctl show --value -p MainPID mayfly)/ns/" + ns + ") != $(readlink /proc/1/ns/" + ns + ")"); code != 0 {
			h.t.Errorf("the dispatcher shares the container's %s namespace", ns)
		}
	}
}

// wantJobDone queues a job and waits until it is done and its VM gone.
func (h *house) wantJobDone(c *lxc) {
	h.t.Helper()
	id := h.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "energyplus"}, Steps: []gh.StepSpec{{Run: "echo hello"}}})[0]
	c.until("a job", func() bool {
		for _, j := range h.gh.State().Jobs {
			if j.ID == id && j.Status == "completed" {
				return j.Conclusion == "success"
			}
		}
		return false
	})
	c.until("the end of the job's VM", func() bool {
		for _, vm := range h.pve.State().VMs {
			if vm.Source != 0 && vm.Decoy == "" && vm.DestroyedAt == nil {
				return false
			}
		}
		return true
	})
}

// wantNoSecretsLeft looks for tokens and the key wherever somebody could read who may not have them.
func (h *house) wantNoSecretsLeft(c *lxc) {
	h.t.Helper()
	p := h.pve.Info()
	places := map[string]string{
		"journal":   c.must("journalctl --no-pager -o export"),
		"processes": c.must("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; :"),
		"files that others can read": c.must("find / -xdev -type f -perm -o=r -size -2000k -not -path '/proc/*' -not -path '/usr/*' -print0 | " +
			"xargs -0 cat 2>/dev/null | tr -d '\\0'; :"),
	}
	for _, path := range []string{
		"/nodes/" + p.Node + "/lxc/190/config", "/nodes/" + p.Node + "/storage/local/content", "/nodes/" + p.Node + "/tasks?source=all", "/cluster/resources",
	} {
		places[path] = h.read(path)
	}
	for _, m := range regexp.MustCompile(`"upid":"([^"]+)"`).FindAllStringSubmatch(places["/nodes/"+p.Node+"/tasks?source=all"], -1) {
		places["log of "+m[1]] = h.read("/nodes/" + p.Node + "/tasks/" + m[1] + "/log")
	}
	for place, text := range places {
		for what, secret := range map[string]string{"Proxmox's token": p.TokenSecret, "GitHub's token": h.gh.Info().Token, "the seal's key": h.key.Reveal()} {
			if strings.Contains(text, secret) {
				h.t.Errorf("%s is in %s", what, place)
			}
		}
		if strings.Contains(text, "age-encryption.org") {
			h.t.Errorf("the sealed secrets are in %s", place)
		}
	}
	if content := places["/nodes/"+p.Node+"/storage/local/content"]; strings.Contains(content, "mayfly-") || !strings.Contains(content, "debian-12-standard") {
		h.t.Errorf("storage local has %s", content)
	}
}

// read asks Proxmox as its administrator.
func (h *house) read(path string) string {
	h.t.Helper()
	p := h.pve.Info()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://pve/api2/json"+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "PVEAPIToken="+p.AdminTokenID+"="+p.AdminTokenSecret)
	resp, err := h.pve.RoundTripper().RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return text.String()
}
