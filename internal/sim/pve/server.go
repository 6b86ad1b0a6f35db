package pve

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mayfly/internal/sim/wire"
)

// Server is one stand-in cluster. Its zero value is not usable; make it with New.
type Server struct {
	opts   Options
	wire   *wire.Server
	ctx    context.Context // ends with Close; task workers live in it
	cancel context.CancelFunc
	// workers are the goroutines that Close waits for: tasks, daemon workers, Listen.
	workers sync.WaitGroup
	// handlers answer the methods of the schema; nothing changes them after New.
	handlers map[string]func(*call) (any, error)
	start    time.Time
	methods  *methodTable // of the release; nothing changes it

	ahead atomic.Int64 // nanoseconds, of the nodes' clocks (SetClock)

	identity identity // the TLS certificate, made when first needed

	mu  sync.Mutex // guards everything below; never held over a wait
	dir string     // where big files lie; "" until there is one
	cluster
}

// New makes a cluster with its template, its decoys and its tokens. It starts no goroutine; Close ends those that
// requests start.
func New(opts Options) *Server {
	s := &Server{opts: opts.withDefaults(), start: time.Now()}
	s.handlers, s.methods = s.routes(), s.opts.methods()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if s.opts.Engine == nil {
		s.opts.Engine = newPlayedEngine(players{guest: s.opts.Guest, ctx: s.ctx, workers: &s.workers})
	}
	s.wire = wire.New(s.handler(), wire.Options{Fault: s.chooseFault, Done: s.record, Clock: s.clock, Logger: s.opts.Logger})
	s.populate()
	return s
}

// Close breaks all connections, ends the workers and waits for them, and removes all files. Machines of the engine are the engine's to end.
func (s *Server) Close() {
	s.cancel()
	s.wire.Close()
	s.workers.Wait()
	s.mu.Lock()
	dir := s.dir
	s.mu.Unlock()
	if dir == "" {
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		s.opts.Logger.Warn("files of the stand-in not removed", "reason", err)
	}
}

// Serve answers on l over TLS with the server's self-signed certificate, until Close or until l fails; it closes l.
// [Server.Info] names the address from then on.
func (s *Server) Serve(l net.Listener) error {
	cert, err := s.identity.certificate(s.opts.Nodes)
	if err != nil {
		_ = l.Close()
		return fmt.Errorf("serve Proxmox stand-in: %w", err)
	}
	s.mu.Lock()
	s.url = "https://" + l.Addr().String()
	s.mu.Unlock()
	return s.wire.Serve(tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"}, // pveproxy speaks nothing newer
	}))
}

// Listen is Serve in a goroutine that Close waits for, on a loopback port of the system's choice. It returns the
// server's URL.
func (s *Server) Listen() (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(s.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for Proxmox stand-in: %w", err)
	}
	s.mu.Lock()
	s.url = "https://" + l.Addr().String()
	s.mu.Unlock()
	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		if err := s.Serve(l); err != nil {
			s.opts.Logger.Error("stand-in stopped listening", "reason", err)
		}
	}()
	return "https://" + l.Addr().String(), nil
}

// RoundTripper reaches the server in process, without a network or TLS. The host names the node that answers; any other name
// reaches Options.Node. Faults, locks and delays are the same.
func (s *Server) RoundTripper() http.RoundTripper { return s.wire.RoundTripper() }

// Connections reaches the server by HTTP over connections in memory, a new one for each request, to hosts as RoundTripper does.
// The server answers there until it closes. Without a network it works in virtual time.
func (s *Server) Connections() http.RoundTripper {
	l := wire.NewMemory()
	s.workers.Go(func() {
		if err := s.wire.Serve(l); err != nil {
			s.opts.Logger.Error("stand-in stopped listening", "reason", err)
		}
	})
	return l.Transport()
}

// Info tells a client how to reach the server. Two tokens are set up: one with the least privileges that Mayfly's
// documentation asks for, one with the role Administrator on "/".
func (s *Server) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := Info{
		URL: s.url, Fingerprint: s.identity.fingerprint(s.opts.Nodes),
		Node: s.opts.Node, Template: templateID + slices.Index(s.opts.Nodes, s.opts.Node), ResourcePool: poolRunners,
	}
	if s.sharedTemplate() {
		info.Template = templateID
	}
	info.TokenID, info.TokenSecret = fleetToken, s.access.tokens[fleetToken].secret
	info.AdminTokenID, info.AdminTokenSecret = adminToken, s.access.tokens[adminToken].secret
	return info
}
