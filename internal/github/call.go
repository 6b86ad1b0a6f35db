package github

import (
	"context"
	"errors"
	"net/http"

	gh "github.com/google/go-github/v88/github"
)

// class says how a request ranks when the hourly budget runs low.
type class int

const (
	// polling reads lists every few seconds: it stops first.
	polling class = iota
	// look is a read that a step in a runner's life waits for; it may use the reserve.
	look
	// mutation is a POST or DELETE: it may use the reserve, keeps the pace and is never repeated.
	mutation
)

// call is one API call on its way through the transports. go-github replaces a transport's error by the context's when
// that has ended, so what really happened travels here.
type call struct {
	class class
	// paced says that a mutation had its slot: a redirect of it needs no other.
	paced bool
	err   error // the outermost transport's, nil after a good reply
}

type callKey struct{}

// callOf is the call that a request belongs to; one of its own when it came from elsewhere.
func callOf(req *http.Request) *call {
	if c, ok := req.Context().Value(callKey{}).(*call); ok {
		return c
	}
	return &call{class: polling}
}

// do makes one API call of go-github's and explains its failure.
func do[T any](ctx context.Context, c *Client, op string, cl class, f func(context.Context) (T, *gh.Response, error)) (T, *gh.Response, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, nil, &Error{Kind: Unavailable, Op: op, Message: "not asked: " + err.Error(), Cause: err}
	}
	state := &call{class: cl}
	v, res, err := f(context.WithValue(ctx, callKey{}, state))
	if err == nil {
		return v, res, nil
	}
	if state.err != nil && ctx.Err() != nil {
		err = errors.Join(state.err, ctx.Err())
	}
	e := c.explain(op, cl, err)
	if state.err == nil && res != nil && res.Response != nil {
		e.Status = res.StatusCode // a good reply that isn't what it should be
	}
	return none, nil, e
}
