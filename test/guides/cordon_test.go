package guides

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/sim/gh"
)

var listening = regexp.MustCompile(`listen=(127\.0\.0\.1:[0-9]+)`)

// TestALockedTemplateMakesNoRunners does what docs/operations.md says of taking a template out: while it is locked the job that
// runs goes on and the next one waits with that reason; afterwards that one is served.
func TestALockedTemplateMakesNoRunners(t *testing.T) {
	t.Parallel()
	s := readSetup(t, guide(t, setupGuide), "9")
	proxmox, address := fastCluster(t, s)
	github, api := fastGitHub(t, gh.Options{})
	d := start(t, []string{
		"PROXMOX_URL=" + address, "PROXMOX_NODE=" + node, "PROXMOX_POOL=ci", "PROXMOX_FINGERPRINT=" + proxmox.Info().Fingerprint,
		"PROXMOX_TOKEN_ID=" + oldProxmox, "PROXMOX_TOKEN_SECRET=" + secretOf(oldProxmox),
		"GITHUB_API_URL=" + api, "GITHUB_TOKEN=" + github.Info().Token, "POLL_INTERVAL=1", "MAX_TOTAL_RUNNERS=2",
	})
	labels := []string{"self-hosted", "linux"}
	runs := github.AddJobs(gh.JobSpec{Labels: labels, Duration: 4 * time.Second})[0]
	wait(t, "a job runs", func() bool { return jobOf(github, runs).Status == "in_progress" })

	if err := proxmox.SetLock(9000, "backup"); err != nil {
		t.Fatal(err)
	}
	var web string
	wait(t, "not ready, for the lock", func() bool {
		if m := listening.FindStringSubmatch(d.log.String()); m != nil {
			web = "http://" + m[1] + "/readyz"
		}
		return web != "" && strings.Contains(strings.Join(readyz(t, web).Reasons, " "), "is locked (backup)")
	})
	waits := github.AddJobs(gh.JobSpec{Labels: labels})[0]
	wait(t, "the next job waits for the template", func() bool {
		for _, w := range readyz(t, web).Waiting {
			if w.Job == waits && string(w.Reason.Code) == "template_missing" && strings.Contains(w.Reason.Text, "is locked") {
				return true
			}
		}
		return false
	})
	wait(t, "the job that ran has ended well", func() bool { return jobOf(github, runs).Conclusion == "success" })
	if j := jobOf(github, waits); j.Status != "queued" {
		t.Errorf("the next job is %s while the template is locked, want it queued", j.Status)
	}
	if err := proxmox.SetLock(9000, ""); err != nil {
		t.Fatal(err)
	}
	wait(t, "the next job is served", func() bool { return jobOf(github, waits).Conclusion == "success" })
	d.stop()
}

// readyz reads the page of a dispatcher.
func readyz(t *testing.T, address string) (s fleet.Status) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}
