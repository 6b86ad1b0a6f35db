package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	gh "github.com/google/go-github/v88/github"

	"mayfly/internal/runner"
)

// Runners returns all runners of the repository, or an error.
func (c *Client) Runners(ctx context.Context, t runner.Target) ([]runner.Registration, error) {
	return c.list(ctx, "list runners of "+t.String(), t, polling, nil)
}

// RunnerByName returns the runner of that name; [NotFound] when the repository has none.
func (c *Client) RunnerByName(ctx context.Context, t runner.Target, name string) (runner.Registration, error) {
	op := fmt.Sprintf("find runner %s of %s", name, t)
	found, err := c.list(ctx, op, t, look, &name)
	if err != nil {
		var e *Error
		if errors.As(err, &e) && e.Kind == NotFound {
			e.Kind = Permission // the list is missing, not the runner
		}
		return runner.Registration{}, err
	}
	for _, r := range found {
		if r.Name == name { // servers that don't know the filter list all
			return r, nil
		}
	}
	return runner.Registration{}, &Error{Kind: NotFound, Op: op, Message: "no runner has this name"}
}

func (c *Client) list(ctx context.Context, op string, t runner.Target, cl class, name *string) ([]runner.Registration, error) {
	if err := check(op, t); err != nil {
		return nil, err
	}
	return listing[runner.Registration]{
		op: op,
		id: func(r runner.Registration) int64 { return r.ID },
		read: func(ctx context.Context, at int) (page[runner.Registration], error) {
			runners, res, err := do(ctx, c, op, cl, func(ctx context.Context) (*gh.Runners, *gh.Response, error) {
				return c.gh.Actions.ListRunners(ctx, t.Owner, t.Repo, &gh.ListRunnersOptions{Name: name, ListOptions: options(at)})
			})
			if err != nil {
				return page[runner.Registration]{}, err
			}
			if runners == nil || runners.Runners == nil || slices.ContainsFunc(runners.Runners, func(r *gh.Runner) bool { return !complete(r) }) {
				return page[runner.Registration]{}, empty(op)
			}
			p := page[runner.Registration]{total: runners.TotalCount, next: res.NextPage}
			for _, r := range runners.Runners {
				p.items = append(p.items, registrationOf(r))
			}
			return p, nil
		},
	}.all(ctx)
}

// Runner returns the runner with that id; [NotFound] means that it is gone for sure.
func (c *Client) Runner(ctx context.Context, t runner.Target, id int64) (runner.Registration, error) {
	op := fmt.Sprintf("get runner %d of %s", id, t)
	if err := check(op, t); err != nil {
		return runner.Registration{}, err
	}
	r, _, err := do(ctx, c, op, look, func(ctx context.Context) (*gh.Runner, *gh.Response, error) {
		return c.gh.Actions.GetRunner(ctx, t.Owner, t.Repo, id)
	})
	switch {
	case errors.Is(err, NotFound):
		return runner.Registration{}, c.gone(ctx, op, t, err)
	case err != nil:
		return runner.Registration{}, err
	case !complete(r):
		return runner.Registration{}, &Error{Kind: Unavailable, Op: op, Status: http.StatusOK, Message: "the reply holds no runner"}
	}
	return registrationOf(r), nil
}

// RemoveRunner removes a registration. Once it returned nil no job can land on the runner any more. [Busy] means that
// the runner has a job and stays; [NotFound] that it is gone for sure.
func (c *Client) RemoveRunner(ctx context.Context, t runner.Target, id int64) error {
	op := fmt.Sprintf("remove runner %d of %s", id, t)
	if err := check(op, t); err != nil {
		return err
	}
	_, res, err := do(ctx, c, op, mutation, func(ctx context.Context) (struct{}, *gh.Response, error) {
		res, err := c.gh.Actions.RemoveRunner(ctx, t.Owner, t.Repo, id)
		return struct{}{}, res, err
	})
	var e *Error
	switch {
	case errors.Is(err, NotFound):
		return c.gone(ctx, op, t, err)
	case errors.As(err, &e):
		if busy(e) {
			e.Kind, e.Hint = Busy, "it stays until its job ends"
		}
		return e
	case res.StatusCode != http.StatusNoContent:
		return &Error{Kind: MaybeHappened, Op: op, Status: res.StatusCode, Message: "an answer that a removal never has", Hint: hintLook}
	}
	return nil
}

// busy reports whether a removal was refused because of a job: 422 "Runner … is still running a job". A removal has
// nothing else to validate, so every 422 is taken for it; the words count wherever they come.
func busy(e *Error) bool {
	switch e.Status {
	case http.StatusUnprocessableEntity:
		return true
	case http.StatusBadRequest, http.StatusConflict:
		return strings.Contains(strings.ToLower(e.Message), "running a job")
	}
	return false
}

// gone makes sure of a runner's 404. GitHub answers the same when the token lost its access, and taking that for "the
// runner is gone" would destroy VMs with jobs in them. So the list of runners is asked: only when the token sees it
// does the 404 stand.
func (c *Client) gone(ctx context.Context, op string, t runner.Target, notFound error) error {
	_, _, err := do(ctx, c, op, look, func(ctx context.Context) (*gh.Runners, *gh.Response, error) {
		return c.gh.Actions.ListRunners(ctx, t.Owner, t.Repo, &gh.ListRunnersOptions{ListOptions: gh.ListOptions{PerPage: 1}})
	})
	var e *Error
	switch {
	case err == nil:
		if errors.As(notFound, &e) {
			e.Hint = ""
		}
		return notFound
	case errors.As(err, &e) && e.Kind == NotFound:
		e.Kind = Permission
	}
	return err
}

// complete reports whether a runner has what makes it one.
func complete(r *gh.Runner) bool { return r != nil && r.GetID() != 0 && r.GetName() != "" }

func registrationOf(r *gh.Runner) runner.Registration {
	out := runner.Registration{ID: r.GetID(), Name: r.GetName(), Online: r.GetStatus() == "online", Busy: r.GetBusy()}
	for _, l := range r.Labels {
		out.Labels = append(out.Labels, l.GetName())
	}
	return out
}
