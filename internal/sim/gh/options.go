package gh

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options says what the stand-in is like; the zero value is usable.
type Options struct {
	// Seed decides every choice that GitHub would make for reasons of its own.
	Seed uint64
	// Repository is the first repository, "NREL/EnergyPlus" when empty. Repositories are more of them.
	Repository   string
	Repositories []RepositorySpec
	// Public makes the first repository public.
	Public bool
	// Token is the credential that may do everything; made from Seed when empty. Tokens are more of them.
	Token  string
	Tokens []TokenSpec
	// RunnerURL is the base URL under which runners reach this server ("http://10.0.2.2:8080"); when empty, the
	// host of the request that made the registration.
	RunnerURL string
	// RateLimit is how many requests a token has per hour; 0 is GitHub's 5000. RateLimitStatus is the status of the
	// refusal after that, 403 (the default) or 429: GitHub uses both.
	RateLimit       int
	RateLimitStatus int
	// RegistrationLimit is how many runners a repository or organization may register in 5 minutes; 0 is GitHub's 1500.
	RegistrationLimit int
	// AssignDelay is the time from "queued" and "runner idle" to the assignment.
	AssignDelay time.Duration
	// PickUp is how long a runner may take to start an assigned job before it is queued again; 0 is GitHub's 60 s.
	PickUp time.Duration
	// Lease is how long a job outlives the last sign of its runner; 0 is GitHub's 10 minutes.
	Lease time.Duration
	// OldestRunner is the oldest runner version that may have a session; "" accepts all, "2.329.0" is GitHub's.
	OldestRunner string
	// StartedRunsReadInProgress makes a run with both queued and started jobs read "in_progress" instead of
	// "queued". Both have been seen at GitHub.
	StartedRunsReadInProgress bool
	// Logger gets a line for each change in a job's or runner's life; nil discards.
	Logger *slog.Logger
}

// RepositorySpec is a repository that exists.
type RepositorySpec struct {
	Name   string // "OWNER/REPO"
	Public bool
}

// TokenSpec is a credential and what it may do.
type TokenSpec struct {
	Token string
	Login string
	// Permissions are those of a fine-grained token: "actions", "administration", "metadata",
	// "organization_self_hosted_runners", … to "read" or "write". nil means all of them.
	Permissions map[string]string
	// Repositories limits what the token can see ("OWNER/REPO"); nil means everything.
	Repositories []string
	// Expires is when GitHub says that the token ends; the zero time is never. It is told, and the token goes on.
	Expires time.Time
}

// Values of GitHub's.
const (
	defaultRepository = "NREL/EnergyPlus"
	// defaultRateLimit: "Primary rate limit for authenticated users" is 5,000 requests per hour.
	defaultRateLimit = 5000
	// defaultPickUp: a job that no runner picks up within 60 s of its assignment is queued again (GitHub docs,
	// "Self-hosted runners", routing precedence).
	defaultPickUp = 60 * time.Second
	// defaultLease: actions/runner logs "valid till" ten minutes ahead.
	defaultLease = 10 * time.Minute
	// neverConnected: an ephemeral registration that never connected is removed after a day, another after 14
	// (GitHub docs, "Communicating with self-hosted runners").
	neverConnected     = 24 * time.Hour
	neverConnectedLong = 14 * 24 * time.Hour
	// forceCancel: a runner that ignores a cancellation loses the job after five minutes (GitHub docs, "Canceling a
	// workflow run").
	forceCancel = 5 * time.Minute
	// tokenLife is how long registration and remove tokens are good (OpenAPI: "expires after one hour").
	tokenLife = time.Hour
)

// withDefaults fills in what was left open.
func (o Options) withDefaults() Options {
	if o.Repository == "" {
		o.Repository = defaultRepository
	}
	if o.Token == "" {
		o.Token = "github_pat_" + seeded(o.Seed, "token").text(36)
	}
	if o.RateLimit == 0 {
		o.RateLimit = defaultRateLimit
	}
	if o.RateLimitStatus == 0 {
		o.RateLimitStatus = 403
	}
	if o.PickUp == 0 {
		o.PickUp = defaultPickUp
	}
	if o.RegistrationLimit == 0 {
		o.RegistrationLimit = defaultRegistrationLimit
	}
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Repositories = append([]RepositorySpec{{Name: o.Repository, Public: o.Public}}, o.Repositories...)
	o.Tokens = append([]TokenSpec{{Token: o.Token, Login: "mayfly-dispatcher"}}, o.Tokens...)
	return o
}

// Check returns an error that names what is impossible about the options.
func (o Options) Check() error {
	o = o.withDefaults()
	var errs []error
	for _, r := range o.Repositories {
		owner, name, ok := strings.Cut(r.Name, "/")
		if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
			errs = append(errs, fmt.Errorf("repository %q: want OWNER/REPO", r.Name))
		}
	}
	if o.RunnerURL != "" {
		if u, err := url.Parse(o.RunnerURL); err != nil || u.Host == "" {
			errs = append(errs, fmt.Errorf("runner URL %q: want http://HOST:PORT", o.RunnerURL))
		}
	}
	if !slices.Contains([]int{403, 429}, o.RateLimitStatus) {
		errs = append(errs, fmt.Errorf("rate limit status %d: GitHub answers 403 or 429", o.RateLimitStatus))
	}
	for name, d := range map[string]time.Duration{"assign delay": o.AssignDelay, "pick-up time": o.PickUp, "lease": o.Lease} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s %s: want a positive duration", name, d))
		}
	}
	return errors.Join(errs...)
}
