package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/runner"
)

// Where a token of GitHub is made and changed.
const tokenPage = "GitHub → Settings → Developer settings → Personal access tokens → Fine-grained tokens"

// reachGitHub asks for each target: address and token show at once. One that doesn't answer while another does is told of
// by itself.
func (c *checker) reachGitHub(ctx context.Context) bool {
	if len(c.Config.Pools) == 0 || !c.wants(Run) && c.Config.Image.RunnerVersion != "" {
		return false // nobody asks GitHub for anything
	}
	what := "GitHub " + c.Config.GitHub.APIURL
	c.repositories = map[runner.Target]repository{}
	var silent error
	answers := false
	for _, t := range c.targetList() {
		repo, err := c.GitHub.Repository(ctx, t)
		c.repositories[t] = repository{repo, err}
		switch {
		case errors.Is(err, github.Unauthorized):
			c.tell("github-token", Error, what, err.Error(), tokenPage+" → Generate new token: the repositories of the pools, Actions and Administration read and write; set GITHUB_TOKEN")
			return false
		case silenced(err):
			silent = cmp.Or(silent, err)
		default:
			answers = true
		}
	}
	if !answers {
		c.tell("github-reachable", Error, what, silent.Error(), "on this machine: curl -I "+c.Config.GitHub.APIURL+"; let it out on port 443, or set HTTPS_PROXY")
		return false
	}
	c.ok("github-reachable", what, "answers, and takes the token")
	return true
}

// repository is what GitHub said of one.
type repository struct {
	github.Repository
	err error
}

// silenced reports whether GitHub said nothing of what it was asked for.
func silenced(err error) bool {
	return errors.Is(err, github.Unavailable) || errors.Is(err, github.RateLimited)
}

// targetList are the repositories of all pools, each once.
func (c *checker) targetList() []runner.Target {
	return fleet.Spec{Pools: c.Config.Pools}.Targets()
}

// tryAgain is the cure of what GitHub has to mend.
const tryAgain = "try again; https://www.githubstatus.com tells of trouble"

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

// lists is how many lists a reading takes of each repository: runners, and runs by their status.
const lists = 4

// rate holds what reading takes at most against GitHub's hourly limit, which is the token's for all repositories together.
func (c *checker) rate(context.Context) {
	if !c.wants(Run) {
		return
	}
	const id, what = "github-rate", "requests to GitHub"
	b := c.GitHub.Budget()
	if b.Limit == 0 {
		c.ok(id, what, "have no limit, as far as GitHub tells")
		return
	}
	targets := len(c.targetList())
	hourly := lists * targets * int(time.Hour/max(c.Config.PollInterval, time.Second))
	read := "the repository"
	if targets > 1 {
		read = fmt.Sprintf("%d repositories", targets)
	}
	used := fmt.Sprintf("reading %s every %s takes up to %d an hour, of %d", read, config.Duration(c.Config.PollInterval), hourly, b.Limit)
	switch {
	case b.Remaining < b.Limit/10:
		c.tell(id, Warning, what, fmt.Sprintf("%d of %d are left until %s; %s", b.Remaining, b.Limit, b.Reset.Format(time.TimeOnly), used), "look for what else uses the token, and give Mayfly one of its own; or a longer poll_interval")
	case hourly > b.Limit:
		fits := time.Duration(lists*targets) * time.Hour / time.Duration(b.Limit)
		c.tell(id, Warning, what, used+", when something changes all the time; then jobs are seen late", "set poll_interval to "+(fits+time.Second).Truncate(time.Second).String()+" or more")
	default:
		c.ok(id, what, used+", when something changes all the time; "+strconv.Itoa(b.Remaining)+" are left")
	}
}

// targets tries what Mayfly reads of each repository, and judges who may bring jobs.
func (c *checker) targets(ctx context.Context) {
	for _, t := range c.targetList() {
		c.target(ctx, t)
	}
}

func (c *checker) target(ctx context.Context, t runner.Target) {
	what := "repository " + t.String()
	repo, err := c.repositories[t].Repository, c.repositories[t].err
	if err != nil {
		cure := tokenPage + " → the token → Repository access: add " + t.String() + "; or mend the pool's target"
		if silenced(err) {
			cure = tryAgain
		}
		c.tell("github-target", Error, what, err.Error(), cure)
		return
	}
	good := true
	lacks := func(err error, permission, what2 string) {
		good = false
		cure := tryAgain
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
			send := " sends"
			if len(p.More) > 0 {
				send = " send"
			}
			c.ok(id, what, "is the default one: only "+p.TargetList()+send+" jobs to its runners, no other repository, public or not")
			continue
		}
		c.tell(id, Error, what, fmt.Sprintf("is %d; runners of a repository can only be in 1, Default, and GitHub refuses to register them", p.GroupID), "take runner_group_id out of the pool")
	}
}
