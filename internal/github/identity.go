package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	gh "github.com/google/go-github/v88/github"

	"mayfly/internal/runner"
)

const (
	// maxLabels: 1 to 100 labels (OpenAPI, actions/generate-runner-jitconfig-for-repo).
	maxLabels = 100
	// maxLabel is the longest label that actions/runner's config.sh takes.
	maxLabel = 256
	// defaultGroup is the runner group "Default", the only one that a repository has.
	defaultGroup = 1
)

// runnerName: GitHub refuses names over 64 characters and any of " / : < > \ | * ?; ours are simpler still.
var runnerName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// CreateJITConfig makes a runner and the identity that turns one VM into it, for one job. name must be new; labels are
// all that the runner will have; groupID 0 is the default group. [Exists] means that the name is taken,
// [MaybeHappened] that a runner of this name may exist whose identity nobody has. GitHub is not asked what it is known
// to refuse: [Invalid].
func (c *Client) CreateJITConfig(ctx context.Context, t runner.Target, name string, labels []string, groupID int64) (runner.Identity, error) {
	op := fmt.Sprintf("create identity of runner %s of %s", name, t)
	if err := check(op, t); err != nil {
		return runner.Identity{}, err
	}
	if words := badRunner(name, labels); words != "" {
		return runner.Identity{}, &Error{Kind: Invalid, Op: op, Message: words}
	}
	if groupID == 0 {
		groupID = defaultGroup
	}
	asked := time.Now() // no later than GitHub made it
	config, res, err := do(ctx, c, op, mutation, func(ctx context.Context) (*gh.JITRunnerConfig, *gh.Response, error) {
		return c.gh.Actions.GenerateRepoJITConfig(ctx, t.Owner, t.Repo, &gh.GenerateJITConfigRequest{Name: name, RunnerGroupID: groupID, Labels: labels})
	})
	var e *Error
	switch {
	case errors.As(err, &e):
		if e.Kind == Invalid && (e.Status == http.StatusConflict || strings.Contains(strings.ToLower(e.Message), "already exists")) {
			e.Kind, e.Hint = Exists, "take another name"
		}
		return runner.Identity{}, e
	case res.StatusCode != http.StatusCreated || config == nil || config.GetEncodedJITConfig() == "" || !complete(config.Runner) || config.Runner.GetName() != name:
		return runner.Identity{}, &Error{Kind: MaybeHappened, Op: op, Status: res.StatusCode, Message: "the reply holds no identity of this runner", Hint: hintLook}
	}
	return runner.Identity{
		RegistrationID: config.Runner.GetID(),
		Name:           name,
		JITConfig:      runner.NewSecret(config.GetEncodedJITConfig()),
		MintedAt:       asked,
	}, nil
}

// badRunner says what GitHub would refuse about a name or labels; "" when nothing.
func badRunner(name string, labels []string) string {
	if !runnerName.MatchString(name) {
		return fmt.Sprintf("the name %q isn't one to 64 letters, digits, '.', '_' and '-'", name)
	}
	if len(labels) == 0 || len(labels) > maxLabels {
		return fmt.Sprintf("%d labels; GitHub wants 1 to %d", len(labels), maxLabels)
	}
	for _, l := range labels {
		if l == "" || len(l) > maxLabel || strings.ContainsAny(l, ", \t\r\n") {
			return fmt.Sprintf("the label %q is empty, longer than %d or holds commas or white space", l, maxLabel)
		}
	}
	return ""
}

// RegistrationToken lets its holder register any number of runners until it expires.
type RegistrationToken struct {
	Token     runner.Secret
	ExpiresAt time.Time // an hour after it was made, by GitHub's clock
}

// CreateRegistrationToken makes a token for config.sh.
func (c *Client) CreateRegistrationToken(ctx context.Context, t runner.Target) (RegistrationToken, error) {
	op := "create registration token of " + t.String()
	if err := check(op, t); err != nil {
		return RegistrationToken{}, err
	}
	token, res, err := do(ctx, c, op, mutation, func(ctx context.Context) (*gh.RegistrationToken, *gh.Response, error) {
		return c.gh.Actions.CreateRegistrationToken(ctx, t.Owner, t.Repo)
	})
	switch {
	case err != nil:
		return RegistrationToken{}, err
	case res.StatusCode != http.StatusCreated || token.GetToken() == "" || token.GetExpiresAt().IsZero():
		return RegistrationToken{}, &Error{Kind: MaybeHappened, Op: op, Status: res.StatusCode, Message: "the reply holds no token", Hint: "ask again: an unused token does no harm"}
	}
	return RegistrationToken{Token: runner.NewSecret(token.GetToken()), ExpiresAt: token.GetExpiresAt().Time}, nil
}
