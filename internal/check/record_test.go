package check_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/check"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/record"
	"mayfly/internal/runner"
)

// replay makes the checks of a recorded folder.
func replay(t *testing.T, dir string, features []check.Feature) (found []check.Finding) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rec, err := record.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		p, err := proxmox.New(proxmox.Options{
			Endpoints: rec.Config.Proxmox.Endpoints, TokenID: rec.Config.Proxmox.TokenID, TokenSecret: runner.NewSecret(record.ProxmoxSecret), Transport: rec.Proxmox(),
		})
		if err != nil {
			t.Fatal(err)
		}
		g, err := github.New(github.Options{BaseURL: rec.Config.GitHub.APIURL, Token: runner.NewSecret(record.GitHubToken), Transport: rec.GitHub()})
		if err != nil {
			t.Fatal(err)
		}
		found = check.Look(t.Context(), check.Options{Config: rec.Config, Proxmox: p, GitHub: g, Features: features})
	})
	return found
}

// verdicts are ids and levels: names differ in a recording.
func verdicts(list []check.Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, f.ID+" "+string(f.Level))
	}
	return out
}

// Each mistake is found in a recording of it, too, and nothing else: what is left out when it is made harmless doesn't matter.
func TestRecordingsAreJudgedLikeTheServersThatTheyAreOf(t *testing.T) {
	for _, tc := range append(mistakes(t), mistake{name: "all is well"}) {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			s := tc.setting
			s.record = &record.Recorder{}
			s.save = dir
			live := look(t, s)
			if diff := cmp.Diff(verdicts(live), verdicts(replay(t, dir, s.features))); diff != "" {
				t.Errorf("(-servers +recording):\n%s", diff)
			}
		})
	}
}
