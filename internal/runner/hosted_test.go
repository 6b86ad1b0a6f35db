package runner_test

import (
	"testing"

	"mayfly/internal/runner"
)

func TestJobsThatNameOnlyGitHubsLabelsAreLeftToGitHub(t *testing.T) {
	usual, only := []string{"energyplus", "linux", "x64", "ubuntu-22.04"}, []string{"ubuntu-22.04", "Ubuntu-Latest"}
	for _, tc := range []struct {
		pool, job []string
		want      bool
	}{
		{usual, []string{"ubuntu-22.04"}, true},
		{usual, []string{"UBUNTU-22.04"}, true},
		{usual, []string{"self-hosted", "ubuntu-22.04"}, false},
		{usual, []string{"energyplus", "ubuntu-22.04"}, false},
		{usual, []string{"linux"}, false},
		{usual, nil, false},
		{only, []string{"ubuntu-22.04"}, false},
	} {
		if got := (runner.Pool{Labels: tc.pool}).LeavesToGitHub(runner.Job{Labels: tc.job}); got != tc.want {
			t.Errorf("a pool with %v and a job with %v: %v, want %v", tc.pool, tc.job, got, tc.want)
		}
	}
	for _, label := range []string{"ubuntu-latest", "ubuntu-24.04-arm", "windows-2025", "windows-11-arm", "macos-15-xlarge", "macos-26-intel", "ubuntu-slim"} {
		if !runner.Hosted(label) {
			t.Errorf("%s is a label of GitHub's own runners", label)
		}
	}
	for _, label := range []string{"ubuntu", "ubuntu-2204", "my-ubuntu-22.04", "linux", "self-hosted", "macos", "ubuntu-22.04-gpu"} {
		if runner.Hosted(label) {
			t.Errorf("%s is no label of GitHub's own runners", label)
		}
	}
}
