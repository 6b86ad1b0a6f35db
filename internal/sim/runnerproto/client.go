package runnerproto

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// callTimeout bounds every call that isn't held by the server.
	callTimeout = 30 * time.Second
	// pollGrace is what a held poll may take longer than asked.
	pollGrace = 15 * time.Second
	// maxReply bounds a reply in bytes.
	maxReply = 4 << 20
)

// Client speaks for one registration. Its methods may be called at the same time: a runner polls for messages while
// it renews its job's lease.
type Client struct {
	cfg  Config
	http http.Client

	mu      sync.Mutex
	session string
}

// NewClient speaks over transport; nil is a transport of its own without idle connections kept.
func NewClient(cfg Config, transport http.RoundTripper) *Client {
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	}
	return &Client{cfg: cfg, http: http.Client{Transport: transport}}
}

// Open opens the session that makes the registration online. owner is the host's name, version the runner's.
// It fails as [ErrConflict], [ErrGone], [ErrDeprecated], [ErrUnauthorized] or [ErrUnavailable].
func (c *Client) Open(ctx context.Context, owner, version string) error {
	var s Session
	err := c.call(ctx, "open session", http.MethodPost, "/sessions", SessionRequest{OwnerName: owner, RunnerVersion: version, OS: "linux"}, &s, callTimeout)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s.SessionID
	return nil
}

// Message waits for a message, at most as long as wait (0 or more than [MaxPoll]: MaxPoll). It returns nil without an
// error when none came. It fails as [ErrGone], [ErrUnauthorized] or [ErrUnavailable].
func (c *Client) Message(ctx context.Context, wait time.Duration) (*Message, error) {
	if wait <= 0 || wait > MaxPoll {
		wait = MaxPoll
	}
	q := url.Values{"sessionId": {c.sessionID()}, "timeout": {strconv.FormatFloat(wait.Seconds(), 'f', -1, 64)}}
	var m Message
	if err := c.call(ctx, "poll for a message", http.MethodGet, "/message?"+q.Encode(), nil, &m, wait+pollGrace); err != nil {
		return nil, err
	}
	if m.JobID == 0 {
		return nil, nil //nolint:nilnil // no message is an ordinary answer
	}
	return &m, nil
}

// Start takes the job: it is in progress from now on. It fails as [ErrLost] when it is no longer this runner's.
func (c *Client) Start(ctx context.Context, job int64) error {
	return c.job(ctx, "start", job, struct{}{}, nil)
}

// Renew prolongs the lease of the job and learns whether it is to be cancelled.
func (c *Client) Renew(ctx context.Context, job int64) (Lease, error) {
	var l Lease
	err := c.job(ctx, "renew", job, struct{}{}, &l)
	return l, err
}

// Log adds text to the job's log.
func (c *Client) Log(ctx context.Context, job int64, text string) error {
	return c.job(ctx, "log", job, LogRequest{Text: text}, nil)
}

// Complete ends the job. An ephemeral registration is gone afterwards.
func (c *Client) Complete(ctx context.Context, job int64, r Result) error {
	return c.job(ctx, "complete", job, CompleteRequest{Result: r}, nil)
}

// Close closes the session, if one is open. A registration that is gone has none.
func (c *Client) Close(ctx context.Context) error {
	id := c.sessionID()
	if id == "" {
		return nil
	}
	c.mu.Lock()
	c.session = ""
	c.mu.Unlock()
	return c.call(ctx, "close session", http.MethodDelete, "/sessions/"+url.PathEscape(id), nil, nil, callTimeout)
}

func (c *Client) sessionID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// job makes a call about a job; there, not found, conflict and unprocessable all mean that it is lost.
func (c *Client) job(ctx context.Context, verb string, job int64, body, into any) error {
	op := fmt.Sprintf("%s job %d", verb, job)
	err := c.call(ctx, op, http.MethodPost, fmt.Sprintf("/jobs/%d/%s", job, verb), body, into, callTimeout)
	if e, ok := err.(*Error); ok && (e.Status == http.StatusNotFound || e.Status == http.StatusConflict || e.Status == http.StatusUnprocessableEntity) { //nolint:errorlint // call returns *Error itself
		e.Kind = ErrLost
	}
	return err
}

func (c *Client) call(ctx context.Context, op, method, path string, body, into any, timeout time.Duration) error {
	return exchange(ctx, &c.http, exchangeSpec{
		op: op, method: method, url: strings.TrimRight(c.cfg.ServerURL, "/") + path,
		authorization: "Bearer " + c.cfg.Token, body: body, into: into, timeout: timeout,
	})
}

// exchangeSpec is one request and where its reply goes.
type exchangeSpec struct {
	op, method, url, authorization string
	body, into                     any
	timeout                        time.Duration
}

// exchange sends a request and reads its reply. Every error it returns is an *Error.
func exchange(ctx context.Context, client *http.Client, x exchangeSpec) error {
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	var payload io.Reader
	if x.body != nil {
		b, err := json.Marshal(x.body)
		if err != nil {
			return &Error{Kind: ErrInvalid, Op: x.op, Cause: err}
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, x.method, x.url, payload)
	if err != nil {
		return &Error{Kind: ErrInvalid, Op: x.op, Cause: err}
	}
	req.Header.Set("Authorization", x.authorization)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "GitHubActionsRunner-stand-in")
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return &Error{Kind: ErrUnavailable, Op: x.op, Cause: err}
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return &Error{Kind: ErrUnavailable, Op: x.op, Status: resp.StatusCode, Cause: err}
	}
	if resp.StatusCode/100 != 2 {
		return refusal(x.op, resp.StatusCode, reply)
	}
	if x.into == nil || len(bytes.TrimSpace(reply)) == 0 {
		return nil
	}
	if err := json.Unmarshal(reply, x.into); err != nil {
		return &Error{Kind: ErrUnavailable, Op: x.op, Status: resp.StatusCode, Cause: fmt.Errorf("read reply: %w", err)}
	}
	return nil
}

// refusal makes an Error of a reply that isn't 2xx.
func refusal(op string, status int, reply []byte) *Error {
	var b ErrorBody
	_ = json.Unmarshal(reply, &b) // a proxy's page has no words for us
	e := &Error{Kind: ErrUnavailable, Op: op, Status: status, Message: b.Message}
	switch {
	case strings.Contains(b.TypeName, "RunnerVersionDeprecated"):
		e.Kind = ErrDeprecated
	case strings.Contains(b.TypeName, "AgentExists"):
		e.Kind = ErrExists
	case status == http.StatusNotFound:
		e.Kind = ErrGone
	case status == http.StatusConflict:
		e.Kind = ErrConflict
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Kind = ErrUnauthorized
	case status/100 == 4 && status != http.StatusTooManyRequests:
		e.Kind = ErrInvalid
	}
	return e
}
