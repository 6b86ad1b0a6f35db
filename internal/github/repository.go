package github

import (
	"context"
	"net/http"

	gh "github.com/google/go-github/v88/github"

	"mayfly/internal/runner"
)

// Repository is what Mayfly wants to know of a target.
type Repository struct {
	// Private is false for public repositories, whose pull requests come from anybody.
	Private bool
	// DefaultBranch is where workflows are taken from that aren't started by a push.
	DefaultBranch string
}

// Repository reads the repository: the check, at start-up, of token and target.
func (c *Client) Repository(ctx context.Context, t runner.Target) (Repository, error) {
	op := "get repository " + t.String()
	if err := check(op, t); err != nil {
		return Repository{}, err
	}
	r, _, err := do(ctx, c, op, look, func(ctx context.Context) (*gh.Repository, *gh.Response, error) {
		return c.gh.Repositories.Get(ctx, t.Owner, t.Repo)
	})
	switch {
	case err != nil:
		return Repository{}, err
	case r == nil || r.Private == nil:
		return Repository{}, &Error{Kind: Unavailable, Op: op, Status: http.StatusOK, Message: "the reply holds no repository"}
	}
	return Repository{Private: r.GetPrivate(), DefaultBranch: r.GetDefaultBranch()}, nil
}
