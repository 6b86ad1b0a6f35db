package common_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	ours   = `"repository":{"id":7,"full_name":"NREL/EnergyPlus"}`
	policy = "pool=ep\nrepositories=NREL/EnergyPlus,nrel/other\nevents=\nforks=deny\n"
)

func pullRequest(head string) string {
	return fmt.Sprintf(`{"action":"opened","pull_request":{"number":1,"head":{"ref":"fix","repo":%s},"base":{"ref":"main","repo":{"id":7,"full_name":"NREL/EnergyPlus"}}},%s}`, head, ours)
}

func workflowRun(head string) string {
	return fmt.Sprintf(`{"action":"completed","workflow_run":{"id":1,"event":"pull_request","head_repository":%s},%s}`, head, ours)
}

// hooked prepares a sandbox for the hook: its policy, and of the programs that it may use only those named.
func (b *sandbox) hooked(policy string, tools ...string) {
	b.t.Helper()
	script, err := os.ReadFile("job-started.sh")
	if err != nil {
		b.t.Fatal(err)
	}
	b.write("opt/actions-runner/job-started.sh", string(script), 0o755)
	if policy != "" {
		b.write("run/mayfly-policy", policy, 0o644)
	}
	for _, tool := range tools {
		path, err := exec.LookPath(tool)
		if err != nil {
			b.t.Fatalf("this test needs %s: %v", tool, err)
		}
		b.write("usr/bin/"+tool, "#!/bin/sh\nexec "+path+" \"$@\"\n", 0o755)
	}
}

// hook runs the hook as GitHub's runner does, under the program that is named first, if any.
func (b *sandbox) hook(under []string, event, payload, repository string) reply {
	b.t.Helper()
	b.write("event.json", payload, 0o644)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	words := slices.Concat(under, b.shell, []string{"-e", b.path("opt/actions-runner/job-started.sh")})
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = []string{
		"PATH=/nowhere", "GITHUB_EVENT_NAME=" + event, "GITHUB_EVENT_PATH=" + b.path("event.json"), "GITHUB_REPOSITORY=" + repository,
		"RUNNER_NAME=" + name, "GITHUB_TOKEN=ghs_secretsecretsecretsecret",
	}
	cmd.Dir = "/"
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		b.t.Fatalf("job-started.sh: %v\n%s%s", err, out.String(), errOut.String())
	}
	return reply{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

func TestHookLetsOnlyJobsOfThePolicyRun(t *testing.T) {
	const repo = "NREL/EnergyPlus"
	own := `{"id":7,"full_name":"NREL/EnergyPlus"}`
	for _, tc := range []struct {
		name, policy, event, payload, repository string
		words                                    string // of the refusal; "" for a job that may run
	}{
		{"push", policy, "push", "{" + ours + "}", repo, ""},
		{"repository in other letters", policy, "push", "{" + ours + "}", "nrel/ENERGYPLUS", ""},
		{"second repository", policy, "schedule", "{}", "NREL/Other", ""},
		{"merge queue", policy, "merge_group", `{"merge_group":{"head_ref":"refs/heads/gh-readonly-queue/main/pr-1"},` + ours + "}", repo, ""},
		{"own pull request", policy, "pull_request", pullRequest(own), repo, ""},
		{"own pull request after a new name", policy, "pull_request", pullRequest(`{"id":7,"full_name":"NREL/Renamed"}`), repo, ""},
		{"own pull request without ids", policy, "pull_request", strings.ReplaceAll(pullRequest(`{"full_name":"nrel/energyplus"}`), `"id":7,`, ""), repo, ""},
		{"own review", policy, "pull_request_review", pullRequest(own), repo, ""},
		{"run after an own one", policy, "workflow_run", workflowRun(own), repo, ""},
		{"payload that nobody needs", policy, "push", "not JSON", repo, ""},
		{"fork where forks may", strings.ReplaceAll(policy, "deny", "allow"), "pull_request", pullRequest(`{"id":8,"full_name":"mallory/EnergyPlus"}`), repo, ""},

		{"other repository", policy, "push", "{" + ours + "}", "NREL/EnergyPlus2", "jobs.repositories"},
		{"no repository", policy, "push", "{" + ours + "}", "", "jobs.repositories"},
		{"part of two names", policy, "push", "{}", "NREL/EnergyPlus,nrel/other", "jobs.repositories"},
		{"fork", policy, "pull_request", pullRequest(`{"id":8,"full_name":"mallory/EnergyPlus"}`), repo, "mallory/EnergyPlus"},
		{"fork that took our name", policy, "pull_request", pullRequest(`{"id":8,"full_name":"NREL/EnergyPlus"}`), repo, "jobs.forks"},
		{"fork without ids", policy, "pull_request", strings.ReplaceAll(pullRequest(`{"full_name":"mallory/EnergyPlus"}`), `"id":7,`, ""), repo, "jobs.forks"},
		{"deleted fork", policy, "pull_request", pullRequest("null"), repo, "deleted"},
		{"fork as target", policy, "pull_request_target", pullRequest(`{"id":8,"full_name":"mallory/EnergyPlus"}`), repo, "pull_request_target"},
		{"fork's review comment", policy, "pull_request_review_comment", pullRequest(`{"id":8,"full_name":"mallory/EnergyPlus"}`), repo, "jobs.forks"},
		{"run after a fork's", policy, "workflow_run", workflowRun(`{"id":8,"full_name":"mallory/EnergyPlus"}`), repo, "workflow_run"},
		{"run after a deleted fork's", policy, "workflow_run", workflowRun("null"), repo, "deleted"},
		{"words in a fork's name", policy, "pull_request", pullRequest(`{"id":8,"full_name":"x\n::set-env name=A::b"}`), repo, "jobs.forks"},
		{"empty payload", policy, "pull_request", "", repo, "doesn't say"},
		{"broken payload", policy, "pull_request", `{"pull_request":`, repo, "doesn't say"},
		{"payload of another event", policy, "pull_request", "{" + ours + "}", repo, "doesn't say"},
		{"head that is none", policy, "pull_request", `{"pull_request":{"head":7},` + ours + "}", repo, "doesn't say"},
		{"no base", policy, "pull_request", `{"pull_request":{"head":{"repo":null}}}`, repo, "doesn't say"},
		{"no event", policy, "", "{}", repo, "no name"},

		{"event of the list", policy + "events=push,pull_request\n", "push", "{}", repo, ""},
		{"event not of the list", policy + "events=push,pull_request\n", "schedule", "{}", repo, "jobs.events"},
		{"event with part of a listed name", policy + "events=pull_request_target\n", "pull_request", pullRequest(own), repo, "jobs.events"},
		{"no event of the list", policy + "events=push\nforks=allow\n", "", "{}", repo, "jobs.events"},
		{"nothing forbidden", "pool=ep\nrepositories=\nevents=\nforks=allow\n", "pull_request", "{}", "any/where", ""},
		{"policy without forks", "pool=ep\n", "pull_request", pullRequest("null"), repo, "jobs.forks"},
		{"no policy", "", "push", "{}", repo, "no policy"},
	} {
		for _, tool := range []string{"jq", "python3"} {
			t.Run(tc.name+"/"+tool, func(t *testing.T) {
				inEveryShell(t, func(t *testing.T, b *sandbox) {
					b.hooked(tc.policy, tool)
					r := b.hook(nil, tc.event, tc.payload, tc.repository)
					b.wantVerdict(r, tc.words)
				})
			})
		}
	}
}

// wantVerdict checks how the hook ended: silent consent, or a refusal in one line that holds the words.
func (b *sandbox) wantVerdict(r reply, words string) {
	b.t.Helper()
	var refusals []string
	for line := range strings.Lines(r.out) {
		if strings.HasPrefix(line, "::") && !strings.HasPrefix(line, "::group::Mayfly runner") && line != "::endgroup::\n" && !strings.HasPrefix(line, "::warning::") {
			refusals = append(refusals, line)
		}
	}
	switch {
	case r.err != "" || !strings.Contains(r.out, name):
		b.t.Errorf("%+v, want the runner's name and no noise", r)
	case words == "" && (r.code != 0 || len(refusals) > 0):
		b.t.Errorf("refused: %+v", r)
	case words != "" && (r.code != 1 || len(refusals) != 1 || !strings.HasPrefix(refusals[0], "::error ") || !strings.Contains(refusals[0], words)):
		b.t.Errorf("%+v, want 1 and one error with %q", r, words)
	}
	if strings.Contains(r.out, "ghs_") {
		b.t.Errorf("it prints a secret: %s", r.out)
	}
}

func TestHookRefusesWhatItCantRead(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.hooked(policy)
		b.wantVerdict(b.hook(nil, "pull_request", pullRequest(`{"id":7,"full_name":"NREL/EnergyPlus"}`), "NREL/EnergyPlus"), "neither jq nor python3")
		b.wantVerdict(b.hook(nil, "push", "{}", "NREL/EnergyPlus"), "")
	})
}

func TestHookSaysWhereTheJobRuns(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.hooked(policy)
		b.write("opt/actions-runner/runner-version", "2.336.0\n", 0o644)
		r := b.hook(nil, "push", "{}", "NREL/EnergyPlus")
		for _, want := range []string{"::group::", name, "pool:    ep", "ubuntu-2204 test  image", "2.336.0", "::endgroup::"} {
			if !strings.Contains(r.out, want) {
				t.Errorf("without %q:\n%s", want, r.out)
			}
		}
	})
}

// TestRefusalInterruptsTheListener stands for what keeps a job's "if: always()" steps from running: GitHub's runner skips
// every step once it shuts down.
func TestRefusalInterruptsTheListener(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.hooked(policy)
		b.write("opt/actions-runner/bin/Runner.Listener", `#!/bin/sh
trap 'echo interrupted >"${0%/opt/*}/record/interrupted"; kill -TERM "$child"' INT
"$@" &
child=$!
wait "$child"
while kill -0 "$child" 2>/dev/null; do wait "$child"; done
wait "$child"
`, 0o755)
		r := b.hook([]string{b.path("opt/actions-runner/bin/Runner.Listener")}, "push", "{}", "other/one")
		if r.code != 1 || !strings.Contains(r.out, "jobs.repositories") || strings.Contains(r.out, "::warning::") {
			t.Errorf("%+v, want 1 and the refusal", r)
		}
		if b.read("record/interrupted") != "interrupted\n" {
			t.Error("the listener wasn't interrupted")
		}
		if r := b.hook([]string{b.path("opt/actions-runner/bin/Runner.Listener")}, "push", "{}", "NREL/EnergyPlus"); r.code != 0 {
			t.Errorf("an allowed job: %+v", r)
		}
	})
}
