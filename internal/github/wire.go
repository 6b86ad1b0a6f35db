package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"mayfly/internal/runner"
)

const (
	// apiVersion is the one that go-github v88 is written for; 2026-03-10 renames things (GitHub docs, "API
	// Versions").
	apiVersion = "2022-11-28"
	// maxBody bounds a reply. A page of 100 runs is about 1.5 MB.
	maxBody = 32 << 20
)

// wire is the innermost transport. It puts the token on, reads whole bodies (so that a reply cut short is an error of
// the transport, not of some decoder), tells whether a lost request was sent, measures the clock and logs.
type wire struct {
	next    http.RoundTripper
	base    *url.URL
	token   runner.Secret
	agent   string
	timeout time.Duration
	log     *slog.Logger
	ahead   atomic.Int64 // GitHub's clock minus ours, in nanoseconds
	expires atomic.Pointer[time.Time]
}

func newWire(next http.RoundTripper, base *url.URL, token runner.Secret, agent string, timeout time.Duration, log *slog.Logger) *wire {
	return &wire{next: next, base: base, token: token, agent: agent, timeout: timeout, log: log}
}

// lostError is a request without a whole reply.
type lostError struct {
	cause error
	sent  bool // GitHub may have got it
}

func (l *lostError) Error() string { return l.cause.Error() }
func (l *lostError) Unwrap() error { return l.cause }

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != w.base.Host || req.URL.Scheme != w.base.Scheme {
		closeBody(req)
		return nil, &lostError{cause: redirectError("a request to " + req.URL.Host + " instead of " + w.base.Host)}
	}
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(req.Context(), w.timeout, fmt.Errorf("no whole reply within %s: %w", w.timeout, context.DeadlineExceeded))
	defer cancel()
	if err := ctx.Err(); err != nil {
		closeBody(req)
		return nil, &lostError{cause: err}
	}
	var seen trail
	out := req.Clone(httptrace.WithClientTrace(ctx, seen.trace()))
	out.Header.Set("Authorization", "Bearer "+w.token.Reveal())
	out.Header.Set("User-Agent", w.agent)
	out.Header.Set("X-Github-Api-Version", apiVersion)
	res, err := w.next.RoundTrip(out)
	sent := err == nil || seen.sent(err)
	if err == nil {
		err = readWhole(res)
	}
	took := time.Since(start)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = cause
		}
		w.log.LogAttrs(req.Context(), slog.LevelDebug, "github request", slog.String("method", req.Method), slog.String("path", req.URL.Path),
			slog.Duration("took", took), slog.String("reason", scrub(err.Error(), w.token)))
		return nil, &lostError{cause: err, sent: sent}
	}
	w.log.LogAttrs(req.Context(), slog.LevelDebug, "github request", slog.String("method", req.Method), slog.String("path", req.URL.Path),
		slog.Int("status", res.StatusCode), slog.Duration("took", took), slog.String("remaining", res.Header.Get("X-Ratelimit-Remaining")))
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		// The header has whole seconds: half of one is the best guess of what it cut off.
		w.ahead.Store(int64(date.Add(time.Second / 2).Sub(start.Add(took / 2))))
	}
	if at, ok := parseExpiration(res.Header); ok {
		w.expires.Store(&at)
	}
	return res, nil
}

// skew is how far GitHub's clock is ahead of ours.
func (w *wire) skew() time.Duration { return time.Duration(w.ahead.Load()) }

// trail is how far a request came, where the transport tells.
type trail struct{ asked, connected atomic.Bool }

func (t *trail) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { t.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { t.connected.Store(true) },
	}
}

// sent reports whether GitHub may have got a request that ended in err: unless no connection came about. Transports
// that don't tell are believed a failed dial, nothing else.
func (t *trail) sent(err error) bool {
	if t.asked.Load() {
		return t.connected.Load()
	}
	var dial *net.OpError
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return false
	}
	return !errors.As(err, &dial) || dial.Op != "dial"
}

// readWhole replaces the reply's body by its bytes.
func readWhole(res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	_ = res.Body.Close()
	switch {
	case err != nil:
		return fmt.Errorf("read reply: %w", err)
	case len(body) > maxBody:
		return fmt.Errorf("read reply: longer than %d MiB", maxBody>>20)
	case res.ContentLength >= 0 && int64(len(body)) != res.ContentLength && res.StatusCode != http.StatusNotModified:
		return fmt.Errorf("read reply: %w after %d of %d bytes", io.ErrUnexpectedEOF, len(body), res.ContentLength)
	}
	setBody(res, body)
	return nil
}

// held is a body that is in memory already.
type held struct {
	*bytes.Reader
	whole []byte
}

func (held) Close() error { return nil }

func setBody(res *http.Response, body []byte) {
	res.Body = held{bytes.NewReader(body), body}
	res.ContentLength = int64(len(body))
}

// peek is the body of a reply that came through readWhole, unread.
func peek(res *http.Response) []byte {
	if h, ok := res.Body.(held); ok {
		return h.whole
	}
	return nil
}

// closeBody closes the body of a request that isn't sent, as a RoundTripper must.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
