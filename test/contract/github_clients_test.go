package contract_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	gogithub "github.com/google/go-github/v88/github"

	"mayfly/internal/github"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
)

// goGitHub is GitHub's usual Go client, as anybody would make it.
func goGitHub(t *testing.T, b *githubBench, opts ...gogithub.ClientOptionsFunc) *gogithub.Client {
	t.Helper()
	c, err := gogithub.NewClient(append([]gogithub.ClientOptionsFunc{
		gogithub.WithHTTPClient(&http.Client{Transport: b}), gogithub.WithAuthToken(b.s.Info().Token),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGoGitHubServesItselfUnmodified(t *testing.T) {
	root := "http://github.sim/"
	for name, opts := range map[string][]gogithub.ClientOptionsFunc{
		"as GitHub Enterprise Server": {gogithub.WithEnterpriseURLs("http://github.sim", "http://github.sim")},
		"at the root":                 {gogithub.WithURLs(&root, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newGitHubBench(t, contractOptions())
			b.s.AddJobs(gh.JobSpec{Count: 70, PerRun: 2})
			c := goGitHub(t, b, opts...)
			ctx := t.Context()
			var runs []int64
			page := &gogithub.ListWorkflowRunsOptions{Status: "queued", ListOptions: gogithub.ListOptions{PerPage: 10}}
			for {
				list, resp, err := c.Actions.ListRepositoryWorkflowRuns(ctx, "NREL", "EnergyPlus", page)
				if err != nil {
					t.Fatal(err)
				}
				if list.GetTotalCount() != 35 {
					t.Errorf("total %d", list.GetTotalCount())
				}
				for _, r := range list.WorkflowRuns {
					runs = append(runs, r.GetID())
				}
				if resp.NextPage == 0 {
					break
				}
				page.Page = resp.NextPage
			}
			slices.Sort(runs)
			if len(slices.Compact(runs)) != 35 {
				t.Errorf("%d runs on all pages", len(runs))
			}
			jobs, _, err := c.Actions.ListWorkflowJobs(ctx, "NREL", "EnergyPlus", runs[0], nil)
			if err != nil || jobs.GetTotalCount() != 2 || jobs.Jobs[0].RunnerID != nil {
				t.Errorf("jobs %v, %v", jobs, err)
			}
			jit, _, err := c.Actions.GenerateRepoJITConfig(ctx, "NREL", "EnergyPlus", &gogithub.GenerateJITConfigRequest{Name: "a", RunnerGroupID: 1, Labels: []string{"self-hosted"}})
			if err != nil {
				t.Fatal(err)
			}
			found, _, err := c.Actions.ListRunners(ctx, "NREL", "EnergyPlus", &gogithub.ListRunnersOptions{Name: new("a")})
			if err != nil || found.TotalCount != 1 || found.Runners[0].GetID() != jit.GetRunner().GetID() {
				t.Errorf("runners %v, %v", found, err)
			}
			_, resp, err := c.Actions.GenerateRepoJITConfig(ctx, "NREL", "EnergyPlus", &gogithub.GenerateJITConfigRequest{Name: "a", RunnerGroupID: 1, Labels: []string{"self-hosted"}})
			var refusal *gogithub.ErrorResponse
			if !errors.As(err, &refusal) || resp.StatusCode != http.StatusConflict {
				t.Errorf("same name again: %v", err)
			}
			if _, err := c.Actions.RemoveRunner(ctx, "NREL", "EnergyPlus", jit.GetRunner().GetID()); err != nil {
				t.Error(err)
			}
			if token, _, err := c.Actions.CreateRegistrationToken(ctx, "NREL", "EnergyPlus"); err != nil || time.Until(token.GetExpiresAt().Time) > time.Hour {
				t.Errorf("registration token %v, %v", token, err)
			}
			if groups, _, err := c.Actions.ListOrganizationRunnerGroups(ctx, "NREL", nil); err != nil || !groups.RunnerGroups[0].GetDefault() {
				t.Errorf("groups %v, %v", groups, err)
			}
			if apps, _, err := c.Actions.ListRunnerApplicationDownloads(ctx, "NREL", "EnergyPlus"); err != nil || len(apps) == 0 {
				t.Errorf("downloads %v, %v", apps, err)
			}
		})
	}
}

func TestGoGitHubReadsTheStandInsLimits(t *testing.T) {
	b := newGitHubBench(t, contractOptions())
	c := goGitHub(t, b, gogithub.WithEnterpriseURLs("http://github.sim", "http://github.sim"))
	if _, err := b.s.Fault(gh.FaultSpec{Kind: "403_secondary", RetryAfter: 7}); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.Actions.ListRunners(t.Context(), "NREL", "EnergyPlus", nil)
	var secondary *gogithub.AbuseRateLimitError
	if !errors.As(err, &secondary) || secondary.GetRetryAfter() != 7*time.Second {
		t.Errorf("secondary limit: %v", err)
	}
	c = goGitHub(t, b, gogithub.WithEnterpriseURLs("http://github.sim", "http://github.sim"))
	b.s.SetRateLimit("", 0)
	_, _, err = c.Actions.ListRunners(t.Context(), "NREL", "EnergyPlus", nil)
	var primary *gogithub.RateLimitError
	if !errors.As(err, &primary) || primary.Rate.Limit != 5000 || primary.Rate.Remaining != 0 {
		t.Errorf("primary limit: %v", err)
	}
}

// ours is Mayfly's client in virtual time.
func ours(t *testing.T, b *githubBench, token string) (*github.Client, runner.Target) {
	t.Helper()
	c, err := github.New(github.Options{BaseURL: "http://github.sim", Token: runner.NewSecret(token), Transport: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, runner.Target{Owner: "NREL", Repo: "EnergyPlus"}
}

func TestMayflysClientFollowsAJobThroughTheStandIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newGitHubBench(t, contractOptions())
		c, target := ours(t, b, b.s.Info().Token)
		ctx := t.Context()
		id := b.s.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "x64"}})[0]
		jobs, err := c.Jobs(ctx, target)
		if err != nil || len(jobs) != 1 || jobs[0].ID != id || !jobs[0].Waiting() {
			t.Fatalf("jobs %+v, %v", jobs, err)
		}
		identity, err := c.CreateJITConfig(ctx, target, "ep-1", []string{"self-hosted", "x64"}, 1)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the pace of changes
		if _, err := c.CreateJITConfig(ctx, target, "ep-1", []string{"self-hosted"}, 1); !errors.Is(err, github.Exists) {
			t.Errorf("same name: %v", err)
		}
		guest := b.client(t, identity.JITConfig.Reveal())
		if err := guest.Open(ctx, "guest", "2.336.0"); err != nil {
			t.Fatal(err)
		}
		if m, err := guest.Message(ctx, 0); err != nil || m == nil || m.JobID != id {
			t.Fatalf("message %v, %v", m, err)
		}
		if err := guest.Start(ctx, id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the pace of changes
		if err := c.RemoveRunner(ctx, target, identity.RegistrationID); !errors.Is(err, github.Busy) {
			t.Errorf("removal of a busy runner: %v", err)
		}
		found, err := c.RunnerByName(ctx, target, "ep-1")
		if err != nil || !found.Busy || !found.Online || found.ID != identity.RegistrationID {
			t.Errorf("%+v, %v", found, err)
		}
		if err := guest.Complete(ctx, id, "succeeded"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Runner(ctx, target, identity.RegistrationID); !errors.Is(err, github.NotFound) {
			t.Errorf("the registration after its job: %v", err)
		}
		if jobs, err = c.Jobs(ctx, target); err != nil || len(jobs) != 0 {
			t.Errorf("jobs at the end: %+v, %v", jobs, err)
		}
		time.Sleep(time.Second) // the pace of changes
		if _, err := c.CreateRegistrationToken(ctx, target); err != nil {
			t.Error(err)
		}
	})
}

func TestMayflysClientPollsAnIdleStandInForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newGitHubBench(t, contractOptions())
		c, target := ours(t, b, b.s.Info().Token)
		b.s.AddJobs(gh.JobSpec{Count: 3})
		for i := range 5 {
			if _, err := c.Jobs(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Runners(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				b.s.SetRateLimit("", 1000)
			}
			time.Sleep(15 * time.Second)
		}
		if left := c.Budget().Remaining; left != 1000 {
			t.Errorf("%d of 1000 requests left after polls that changed nothing", left)
		}
	})
}

func TestMayflysClientTellsTheStandInsRefusalsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newGitHubBench(t, contractOptions())
		for token, want := range map[string]error{"no-such-token": github.Unauthorized, narrow: github.Permission, elsewhere: github.NotFound} {
			c, target := ours(t, b, token)
			if _, err := c.Runners(t.Context(), target); !errors.Is(err, want) {
				t.Errorf("token %s: %v, want %v", token, err, want)
			}
		}
		c, target := ours(t, b, b.s.Info().Token)
		if _, err := c.Runners(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		b.s.SetRateLimit("", 0)
		if _, err := c.CreateJITConfig(t.Context(), target, "ep-1", []string{"self-hosted"}, 1); !errors.Is(err, github.RateLimited) {
			t.Errorf("no budget left: %v", err)
		}
		time.Sleep(time.Hour + time.Minute)
		if _, err := c.CreateJITConfig(t.Context(), target, "ep-1", []string{"self-hosted"}, 1); err != nil {
			t.Errorf("an hour later: %v", err)
		}
		if _, err := b.s.Fault(gh.FaultSpec{Kind: "reset_after", Match: gh.FaultMatch{Path: "**/generate-jitconfig"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the pace of changes
		_, err := c.CreateJITConfig(t.Context(), target, "ep-2", []string{"self-hosted"}, 1)
		if !errors.Is(err, github.MaybeHappened) {
			t.Errorf("lost reply: %v", err)
		}
		if _, err := c.RunnerByName(t.Context(), target, "ep-2"); err != nil {
			t.Errorf("it did happen: %v", err)
		}
	})
}

func TestRunnerNamesFollowGitHubsRuleInClientAndStandIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newGitHubBench(t, contractOptions())
		c := goGitHub(t, b, gogithub.WithEnterpriseURLs("http://github.sim", "http://github.sim"))
		long := fmt.Sprintf("%064d", 1)
		for name, want := range map[string]int{
			"ep-7f3k": http.StatusCreated, "with space": http.StatusCreated, long: http.StatusCreated, long + "0": http.StatusBadRequest,
			"a/b": http.StatusBadRequest, `a"b`: http.StatusBadRequest, "a:b": http.StatusBadRequest, "a<b": http.StatusBadRequest,
			"a>b": http.StatusBadRequest, `a\b`: http.StatusBadRequest, "a|b": http.StatusBadRequest, "a*b": http.StatusBadRequest,
			"a?b": http.StatusBadRequest, "": http.StatusUnprocessableEntity,
		} {
			_, resp, _ := c.Actions.GenerateRepoJITConfig(t.Context(), "NREL", "EnergyPlus",
				&gogithub.GenerateJITConfigRequest{Name: name, RunnerGroupID: 1, Labels: []string{"self-hosted"}})
			if resp == nil || resp.StatusCode != want {
				t.Errorf("name %q: %v, want %d", name, resp, want)
			}
		}
	})
}
