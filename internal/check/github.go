package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mayfly/internal/github"
	"mayfly/internal/runner"
)

// Where a token of GitHub is made and changed.
const tokenPage = "GitHub → Settings → Developer settings → Personal access tokens → Fine-grained tokens"

// reachGitHub asks for the first target: address and token show at once.
func (c *checker) reachGitHub(ctx context.Context) bool {
	if len(c.Config.Pools) == 0 || !c.wants(Run) && c.Config.Image.RunnerVersion != "" {
		return false // nobody asks GitHub for anything
	}
	what := "GitHub " + c.Config.GitHub.APIURL
	_, err := c.GitHub.Repository(ctx, c.Config.Pools[0].Target)
	switch {
	case errors.Is(err, github.Unauthorized):
		c.tell("github-token", Error, what, err.Error(), tokenPage+" → Generate new token: the repositories of the pools, Actions and Administration read and write; set GITHUB_TOKEN")
		return false
	case errors.Is(err, github.Unavailable), errors.Is(err, github.RateLimited):
		c.tell("github-reachable", Error, what, err.Error(), "on this machine: curl -I "+c.Config.GitHub.APIURL+"; let it out on port 443, or set HTTPS_PROXY")
		return false
	}
	c.ok("github-reachable", what, "answers, and takes the token")
	return true
}

func (c *checker) githubClock(context.Context) {
	c.clock("github-clock", "clock of GitHub", c.GitHub.Skew(), "on this machine: timedatectl set-ntp true")
}

// A token that ends within days is a warning while there is time to make another.
const expiryWarns = 14 * 24 * time.Hour

func (c *checker) tokenExpiry(context.Context) {
	const id, what = "github-token-expiry", "token of GitHub"
	at, ends := c.GitHub.TokenExpires()
	left := time.Until(at)
	switch {
	case !ends:
		c.ok(id, what, "has no end, as far as GitHub tells")
	case left < expiryWarns:
		c.tell(id, Warning, what, fmt.Sprintf("ends in %d days, on %s; then no job is seen any more", max(0, int(left.Hours()/24)), at.Format(time.DateOnly)),
			tokenPage+" → the token → Regenerate token; set GITHUB_TOKEN")
	default:
		c.ok(id, what, "is good until "+at.Format(time.DateOnly))
	}
}

// targets tries what Mayfly reads of each repository, and judges who may bring jobs.
func (c *checker) targets(ctx context.Context) {
	seen := map[runner.Target]bool{}
	for _, pool := range c.Config.Pools {
		for _, t := range pool.Targets() {
			if !seen[t] {
				seen[t] = true
				c.target(ctx, t)
			}
		}
	}
}

func (c *checker) target(ctx context.Context, t runner.Target) {
	what := "repository " + t.String()
	repo, err := c.GitHub.Repository(ctx, t)
	if err != nil {
		c.tell("github-target", Error, what, err.Error(), tokenPage+" → the token → Repository access: add "+t.String()+"; or mend the pool's target")
		return
	}
	good := true
	lacks := func(err error, permission, what2 string) {
		good = false
		cure := "try again"
		if errors.Is(err, github.Permission) || errors.Is(err, github.NotFound) {
			cure = tokenPage + " → the token → Repository permissions → " + permission + ": Read and write"
		}
		c.tell("github-permission", Error, what, "can't "+what2+": "+err.Error(), cure)
	}
	if c.wants(Run) {
		if _, err := c.GitHub.Jobs(ctx, t); err != nil {
			lacks(err, "Actions", "read jobs")
		}
		if _, err := c.GitHub.Runners(ctx, t); err != nil {
			lacks(err, "Administration", "read runners")
		}
	}
	if good {
		release, err := c.GitHub.LatestRunner(ctx, t)
		if err != nil {
			lacks(err, "Administration", "read what runner GitHub wants")
		} else {
			c.latest = release.Version
		}
	}
	if good {
		c.ok("github-permission", what, "the token reads its jobs and runners; that it may register runners shows with the first one (Administration: Read and write)")
	}
	if c.wants(Run) {
		c.forks(what, t, repo)
	}
}

// forks judges a public repository, in which anybody can open a pull request with a workflow of their own.
func (c *checker) forks(what string, t runner.Target, repo github.Repository) {
	var open []string
	for _, p := range c.Config.Pools {
		if p.At(t) && !p.Jobs.DenyForks {
			open = append(open, p.Name)
		}
	}
	switch {
	case repo.Private:
	case len(open) > 0:
		c.tell("github-forks", Error, what, "is public, and pools "+strings.Join(open, ", ")+" run jobs of forks: anybody's code runs on your network",
			"set jobs.forks: deny for these pools (RUNNER_FORKS=deny), or read docs/security.md first")
	default:
		c.ok("github-forks", what, "is public, and jobs of forks are refused")
	}
}

// labels looks for those that GitHub's own runners have, too.
func (c *checker) labels(context.Context) {
	if !c.wants(Run) {
		return
	}
	const id = "github-labels"
	for _, p := range c.Config.Pools {
		what, both := "labels of pool "+p.Name, p.HostedLabels()
		list := strings.Join(both, ", ")
		switch {
		case !c.Config.GitHub.Hosted():
			c.ok(id, what, "can't be those of GitHub's own runners: a GitHub Enterprise Server has none")
		case len(both) == 0:
			c.ok(id, what, "are no labels of GitHub's own runners")
		case len(both) < len(p.Labels):
			c.ok(id, what, "jobs that name only "+list+" are left to GitHub's own runners, which have it, too; those with "+runner.SelfHosted+" or another label of the pool come here")
		default:
			c.tell(id, Warning, what, list+": runners of GitHub's own have them, too; a job that names nothing else starts a VM here, and GitHub may give it to either",
				"add a label of your own to the pool's, and name it in workflows: runs-on: ["+runner.SelfHosted+", YOURS, "+list+"]")
		}
	}
}

// groups looks at runner groups: those of an organization decide which repositories' jobs its runners take, and whether public ones'
// are among them, but a repository's own runners are in none and take its jobs alone.
func (c *checker) groups(context.Context) {
	if !c.wants(Run) {
		return
	}
	for _, p := range c.Config.Pools {
		const id = "github-group"
		what := "runner group of pool " + p.Name
		if p.GroupID == 1 {
			c.ok(id, what, "is the default one: only "+p.Target.String()+" sends jobs to its runners, no other repository, public or not")
			continue
		}
		c.tell(id, Error, what, fmt.Sprintf("is %d; runners of a repository can only be in 1, Default, and GitHub refuses to register them", p.GroupID), "take runner_group_id out of the pool")
	}
}
