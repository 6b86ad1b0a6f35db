package gh

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"mayfly/internal/sim/runnerproto"
	"mayfly/internal/sim/wire"
)

// Server is the stand-in: an [http.Handler] with doors in Go beside those under "/_sim/".
type Server struct {
	opts   Options
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // requests in process and listeners
	faults *faultList
	routes []route

	mu       sync.Mutex
	closed   bool
	servers  []*http.Server
	wires    []*wire.Server // over connections in memory
	apiURL   string
	world    world
	requests []RequestRecord
}

// Info is what a client needs to know; its JSON is the first line that "mayfly sim gh" prints.
type Info struct {
	APIURL     string `json:"api_url"`
	Token      string `json:"token"`
	Repository string `json:"repository"`
}

// New makes a stand-in. It owns no goroutine until the first request in process or [Server.Serve]. Options that
// [Options.Check] refuses make it panic: they are the caller's mistake.
func New(o Options) *Server {
	if err := o.Check(); err != nil {
		panic(fmt.Sprintf("sim/gh: %v", err))
	}
	o = o.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		opts: o, ctx: ctx, cancel: cancel, faults: newFaultList(), routes: routes(), world: newWorld(o, time.Now()),
	}
}

// runnerKey gives the private key that every registration of this process has: making one takes longer than everything
// else here, and nothing ever trades it for a token.
var runnerKey = sync.OnceValue(newKey)

func newKey() runnerproto.RSAParameters {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("sim/gh: generate RSA key: %v", err)) // crypto/rand never fails
	}
	return runnerproto.NewRSAParameters(key)
}

// Serve answers on l until [Server.Close], and makes l's address the API URL of [Server.Info] if none is set. It
// returns nil after Close.
func (s *Server) Serve(l net.Listener) error {
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return s.ctx },
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = l.Close()
		return nil
	}
	s.servers = append(s.servers, h)
	if s.apiURL == "" {
		s.apiURL = "http://" + l.Addr().String()
	}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}

// Connections reaches the server by HTTP over connections in memory, a new one for each request; any host name will do.
// The server answers there until it closes. Without a network it works in virtual time. A client that gives up isn't
// noticed: its request goes on, and a poll is held to its end.
func (s *Server) Connections() http.RoundTripper {
	w, l := wire.New(s, wire.Options{Logger: s.opts.Logger}), wire.NewMemory()
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.wires = append(s.wires, w)
		s.wg.Add(1)
	}
	s.mu.Unlock()
	if closed {
		_ = l.Close()
		return l.Transport()
	}
	go func() {
		defer s.wg.Done()
		if err := w.Serve(l); err != nil {
			s.opts.Logger.Error("stand-in stopped listening", "reason", err)
		}
	}()
	return l.Transport()
}

// SetAPIURL sets what [Server.Info] says, where somebody else listens.
func (s *Server) SetAPIURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apiURL = strings.TrimRight(url, "/")
}

// Info tells what a client needs. APIURL is "" until there is a listener or [Server.SetAPIURL].
func (s *Server) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Info{APIURL: s.apiURL, Token: s.opts.Token, Repository: s.opts.Repository}
}

// Close ends every request, held ones too, and waits for them. Calling it again does nothing more.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	servers, wires := s.servers, s.wires
	s.servers, s.wires = nil, nil
	s.mu.Unlock()
	s.cancel()
	for _, h := range servers {
		_ = h.Close()
	}
	for _, w := range wires {
		w.Close()
	}
	s.wg.Wait()
}

// enter counts one more request that Close waits for; false once the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}
