package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options say how a server behaves beside its handler.
type Options struct {
	// Fault chooses what happens to a request, before the handler sees it; nil is no faults. It may be called
	// from several goroutines at once.
	Fault func(*http.Request) Fault
	// Done is told of each request when its handler and its fault are through; nil tells nobody.
	Done func(*http.Request, Exchange)
	// IdleTimeout closes a connection on which nothing arrives for so long, in the middle of a body too
	// (pveproxy: 5 s). 0 is 5 s.
	IdleTimeout time.Duration
	// MaxRequests is how many requests one connection serves (pveproxy: 100). 0 is 100.
	MaxRequests int
	// MaxHeader is the size in bytes of a request's line and headers (pveproxy: 8 KiB). 0 is 8 KiB.
	MaxHeader int
	// Clock gives the Date of replies; nil is time.Now.
	Clock func() time.Time
	// Logger takes broken connections at debug; nil discards.
	Logger *slog.Logger
}

// Exchange is one request's outcome.
type Exchange struct {
	At     time.Time     // when the request had arrived
	Took   time.Duration // until the reply, or its loss
	Status int           // 0: the client got no reply
	Reason string
	Fault  Fault
	Note   any // what the handler gave SetNote; nil when it never ran
}

// Server serves one handler over listeners and in process.
type Server struct {
	handler http.Handler
	opts    Options
	ctx     context.Context // ends with Close: handlers' contexts come from it
	cancel  context.CancelFunc

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{}
	wg        sync.WaitGroup // connections and in-process requests
}

// New makes a server. It owns no goroutine until the first request or Serve.
func New(handler http.Handler, opts Options) *Server {
	if opts.IdleTimeout == 0 {
		opts.IdleTimeout = 5 * time.Second
	}
	if opts.MaxRequests == 0 {
		opts.MaxRequests = 100
	}
	if opts.MaxHeader == 0 {
		opts.MaxHeader = 8 << 10
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		handler: handler, opts: opts, ctx: ctx, cancel: cancel,
		listeners: map[net.Listener]struct{}{}, conns: map[net.Conn]struct{}{},
	}
}

// Close stops listening, ends every handler's context, breaks the connections and waits for all of it. Requests in
// flight get no reply. Calling it again does nothing more.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.cancel()
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// enter counts one more goroutine that Close waits for; false once the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

// outcome is what a request comes to, whichever way it came in.
type outcome struct {
	reply *response // nil: none, the connection breaks
	note  any
	cut   bool
	err   error // what an in-process client sees instead of a reply
}

// exchange runs one request through its fault and the handler.
func (s *Server) exchange(ctx context.Context, r *http.Request) outcome {
	x := Exchange{At: time.Now()}
	if s.opts.Fault != nil {
		x.Fault = s.opts.Fault(r)
	}
	out := s.run(ctx, r, x.Fault)
	x.Took, x.Note = time.Since(x.At), out.note
	if out.reply != nil {
		out.reply.WriteHeader(http.StatusOK)
		x.Status, x.Reason = out.reply.status, out.reply.statusLine()[4:]
	}
	if s.opts.Done != nil {
		s.opts.Done(r, x)
	}
	return out
}

func (s *Server) run(ctx context.Context, r *http.Request, f Fault) outcome {
	if f.wait(ctx, false) != nil {
		return outcome{err: errReset()}
	}
	w := s.newResponse()
	switch f.Kind {
	case Refuse:
		return outcome{err: errRefused()}
	case ResetBefore:
		return outcome{err: errReset()}
	case Answer:
		w.reply(f.Status, f.Reason)
		return outcome{reply: w}
	}
	if f.Kind == Twice {
		s.first(ctx, r)
	}
	if s.aborts(w, r.WithContext(ctx)) {
		return outcome{err: errReset(), note: w.note}
	}
	out := outcome{reply: w, note: w.note}
	if f.wait(ctx, true) != nil {
		return outcome{err: errReset(), note: w.note}
	}
	switch f.Kind {
	case ResetAfter:
		return outcome{err: errReset(), note: w.note}
	case AnswerAfter:
		w.reply(f.Status, f.Reason)
	case CutBody:
		out.cut = true
	}
	return out
}

// first runs the request once, for nobody, and leaves its body to be read again.
func (s *Server) first(ctx context.Context, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, repeatable))
	if err != nil {
		return // the second run meets the same
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.handler.ServeHTTP(s.newResponse(), r.WithContext(ctx))
	r.Body = io.NopCloser(bytes.NewReader(body))
}

// repeatable is the longest body, in bytes, that a repeated request has.
const repeatable = 1 << 20

// aborts runs the handler, and reports whether it ended as one does that wants the connection broken (net/http,
// ErrAbortHandler).
func (s *Server) aborts(w *response, r *http.Request) (yes bool) {
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			yes = true
		}
	}()
	s.handler.ServeHTTP(w, r)
	return false
}
