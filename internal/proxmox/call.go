package proxmox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mayfly/internal/runner"
)

// call is one thing asked of Proxmox.
type call struct {
	op     string
	method string
	path   string // escaped, below /api2/json
	params url.Values
	json   []byte // sent instead of params as a form
	upload *form  // sent instead of both
	limit  limit
	// harmless marks a POST that changes nothing: a lost reply matters as little as a read's.
	harmless bool
	// exec marks the guest agent's exec.
	exec bool
	// secrets never show in an error.
	secrets []string
	// total receives the reply's count of lines, beside its data.
	total *integer
}

// reads reports whether the call changes nothing.
func (r call) reads() bool { return r.method == http.MethodGet || r.harmless }

// maxBody bounds a reply: a cluster of 10 000 guests needs 5 MiB, a guest's command output 2 × 16 MiB and JSON's
// escapes on top.
const maxBody = 256 << 20

// do asks, decodes the reply's data into out (nil drops it) and returns an *Error when that didn't go well.
func (c *Client) do(ctx context.Context, r call, out any) error {
	body, err := c.ask(ctx, r)
	if err != nil {
		return err
	}
	var dropped json.RawMessage
	envelope := struct {
		Data  any     `json:"data"` // a pointer, so that it is read in one go; null leaves what it points at
		Total integer `json:"total"`
	}{Data: out}
	if out == nil {
		envelope.Data = &dropped
	}
	err = json.Unmarshal(body, &envelope)
	if r.total != nil {
		*r.total = envelope.Total
	}
	switch {
	case err == nil:
		return nil
	case r.reads():
		return unreadable(r.op, err)
	}
	return &Error{
		Kind: MaybeHappened, Op: r.op, Status: http.StatusOK, Message: "the reply isn't what Proxmox VE sends", Cause: err,
		Hint: "look what there is before trying again",
	}
}

// unreadable is a read's reply that makes no sense.
func unreadable(op string, err error) error {
	return &Error{
		Kind: Unavailable, Op: op, Status: http.StatusOK, Cause: err,
		Message: "the reply isn't what Proxmox VE sends: " + shorten(err.Error()), Hint: "check PROXMOX_URL",
	}
}

// task asks for something that Proxmox does in a task.
func (c *Client) task(ctx context.Context, r call) (UPID, error) {
	var id text
	if err := c.do(ctx, r, &id); err != nil {
		return "", err
	}
	c.guests.ordered(r)
	upid, err := ParseUPID(string(id))
	if err != nil {
		return "", c.scrub(r, &Error{
			Kind: MaybeHappened, Op: r.op, Status: http.StatusOK, Message: "the reply names no task", Cause: err,
			Hint: "look for the task before trying again",
		})
	}
	return upid, nil
}

// ask sends the call until it is answered, within the call's limit. A read is sent again, to the other endpoints
// first; a change only when it provably wasn't executed.
func (c *Client) ask(ctx context.Context, r call) ([]byte, error) {
	leave, err := c.gate.enter(ctx, r) // the wait for a turn is the caller's, not the call's
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, r.limit.call)
	defer cancel()
	order := c.ends.order()
	tries := len(order)
	if r.method == http.MethodGet {
		tries += retries
	}
	var last *failure
	for n := range tries {
		if n >= len(order) && !pause(ctx, c.firstPause<<(n-len(order))) {
			break
		}
		end := order[n%len(order)]
		body, f := c.attempt(ctx, end, r)
		if f == nil || !f.transient {
			reason := ""
			if last != nil {
				reason = last.err.Message
			}
			c.ends.answered(end, reason)
		}
		if f == nil {
			return body, nil
		}
		if f.unreachable {
			c.ends.failed(end)
		}
		if last == nil || r.method != http.MethodGet || f.err.Status != 0 || last.err.Status == 0 {
			last = f // of a read, Proxmox's own words say more than a time-out that follows them
		}
		again := f.transient && (r.method == http.MethodGet || f.unexecuted)
		if !again || ctx.Err() != nil {
			break
		}
	}
	return nil, last.err
}

// failure is one attempt that failed, with what follows from it.
type failure struct {
	err *Error
	// transient: another endpoint, or the same one a little later, may answer.
	transient bool
	// unexecuted: Proxmox has provably not carried the call out.
	unexecuted bool
	// unreachable: the endpoint itself doesn't answer.
	unreachable bool
}

// unsent is the error of a transport (Options.Wrap) that kept a request back on purpose: it tells nothing of the server,
// and another attempt would be kept back, too.
type unsent interface {
	error
	Unsent() bool
}

// attempt sends the call once, to one endpoint.
func (c *Client) attempt(ctx context.Context, end *endpoint, r call) ([]byte, *failure) {
	ctx, cancel := context.WithTimeout(ctx, r.limit.attempt)
	defer cancel()
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := c.request(traced, end, r)
	if err != nil {
		return nil, &failure{err: c.scrub(r, &Error{Kind: BadParameter, Op: r.op, Message: "can't be sent: " + err.Error()})}
	}
	began := time.Now()
	// RoundTrip follows no redirect: the token would travel to wherever it points.
	resp, err := c.transport.RoundTrip(req)
	if held, ok := errors.AsType[unsent](err); ok && held.Unsent() {
		return nil, &failure{err: c.scrub(r, &Error{Kind: Unavailable, Op: r.op, Message: err.Error(), Cause: err})}
	}
	if err != nil {
		c.trace(ctx, r, 0, began)
		sent := connected.Load() || c.own == nil && !beforeSending(err)
		return nil, c.broken(ctx, end, r, err, sent)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_ = resp.Body.Close()
	c.trace(ctx, r, resp.StatusCode, began)
	c.clock.note(resp.Header, began, time.Since(began))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		// Half a body of a refusal still has its reason phrase.
		f := c.refusal(r, resp, body)
		f.err = c.scrub(r, f.err)
		return nil, f
	}
	if err != nil {
		return nil, c.broken(ctx, end, r, fmt.Errorf("%w: %w", errCut, err), true)
	}
	return body, nil
}

// request builds the HTTP request: parameters go into the query of GET and DELETE (Proxmox refuses a body there)
// and into the body otherwise, always with a Content-Length (it refuses chunks).
func (c *Client) request(ctx context.Context, end *endpoint, r call) (*http.Request, error) {
	address, kind := end.base+r.path, ""
	var body []byte
	switch {
	case r.upload != nil:
		kind = r.upload.kind
	case r.json != nil:
		body, kind = r.json, "application/json"
	case len(r.params) == 0:
	case r.method == http.MethodGet || r.method == http.MethodDelete:
		address += "?" + r.params.Encode()
	default:
		body, kind = []byte(r.params.Encode()), "application/x-www-form-urlencoded"
	}
	var reader io.Reader
	if len(body) > 0 {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, reader)
	if err != nil {
		return nil, err
	}
	if r.upload != nil {
		req.Body, req.ContentLength = r.upload.body(), r.upload.length()
		// For a connection that turns out closed before anything was sent; net/http repeats no POST else.
		req.GetBody = func() (io.ReadCloser, error) { return r.upload.body(), nil }
	}
	req.Header.Set("Authorization", c.keys.auth)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "mayfly")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return req, nil
}

// trace logs the request. Neither query nor body: they hold config values.
func (c *Client) trace(ctx context.Context, r call, status int, began time.Time) {
	c.log.DebugContext(ctx, "proxmox request", "method", r.method, "path", r.path, "status", status, "took", time.Since(began))
}

// pause waits, unless the call's time is up first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// nodePath is "/nodes/{node}/…", every part escaped; empty parts are left out.
func nodePath(node string, parts ...string) string {
	var path strings.Builder
	path.WriteString("/nodes/" + url.PathEscape(node))
	for _, p := range parts {
		if p != "" {
			path.WriteString("/" + url.PathEscape(p))
		}
	}
	return path.String()
}

// vmPath is "/nodes/{node}/qemu/{vmid}/…"; rest is one of our own constants.
func vmPath(node string, vmid int, rest string) string {
	path := nodePath(node, "qemu", strconv.Itoa(vmid))
	if rest != "" {
		path += "/" + rest
	}
	return path
}

// errCut says that a reply began and didn't end.
var errCut = errors.New("the reply was cut short")

// broken makes an error of a request that got no reply. sent says that the server may have read it.
func (c *Client) broken(ctx context.Context, end *endpoint, r call, err error, sent bool) *failure {
	e := &Error{Kind: Unavailable, Op: r.op, Message: "no reply from " + end.host + ": " + err.Error(), Cause: err, Hint: tlsHint(err)}
	f := &failure{err: e, transient: true, unexecuted: !sent, unreachable: !sent}
	if e.Hint != "" {
		e.Kind = Untrusted
	}
	if errors.Is(err, errCut) {
		e.Message = "broken reply from " + end.host + ": " + err.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		e.Message = "no reply from " + end.host + " in time"
		f.unreachable = true
	}
	if errors.Is(err, context.Canceled) {
		e.Message = "given up while waiting for " + end.host
		f.unreachable = false
	}
	switch {
	case sent && !r.reads():
		e.Kind = MaybeHappened
		e.Hint = "look what there is before trying again"
	case e.Hint == "" && !sent:
		e.Hint = "check PROXMOX_URL, and that pveproxy runs there"
	}
	f.err = c.scrub(r, e)
	return f
}

// scrub takes the token's secret and the call's own out of an error, should a server or a proxy have repeated them.
func (c *Client) scrub(r call, e *Error) *Error {
	clean := func(s string) string {
		for _, list := range [][]string{c.keys.forms, r.secrets} {
			for _, secret := range list {
				s = strings.ReplaceAll(s, secret, runner.Redacted)
			}
		}
		return s
	}
	e.Message = shorten(oneLine(clean(e.Message)))
	for name, words := range e.Fields {
		e.Fields[name] = shorten(oneLine(clean(words)))
	}
	if e.Cause != nil && clean(e.Cause.Error()) != e.Cause.Error() {
		e.Cause = errors.New(clean(e.Cause.Error()))
	}
	return e
}
