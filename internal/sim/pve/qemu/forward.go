package qemu

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// dialPatience bounds the connection to a service on our own loopback.
const dialPatience = 10 * time.Second

// forward passes connections to a service on. Each machine has its own, so that its connections end with it, and with
// them the programs that QEMU started for them.
type forward struct {
	ctx      context.Context // bounds dialling
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	open  map[net.Conn]bool
	ended bool
}

func newForward(ctx context.Context, target string) (*forward, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for guest: %w", err)
	}
	f := &forward{ctx: ctx, target: target, listener: l, open: map[net.Conn]bool{}}
	f.wg.Go(f.accept)
	return f, nil
}

func (f *forward) addr() string { return f.listener.Addr().String() }

// close ends every connection and waits for their goroutines.
func (f *forward) close() {
	_ = f.listener.Close()
	f.mu.Lock()
	f.ended = true
	for c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *forward) accept() {
	for {
		guest, err := f.listener.Accept()
		if err != nil {
			return // closed
		}
		f.wg.Go(func() { f.carry(guest) })
	}
}

// carry passes bytes both ways until both sides have said all.
func (f *forward) carry(guest net.Conn) {
	if !f.keep(guest) {
		return
	}
	defer f.drop(guest)
	service, err := (&net.Dialer{Timeout: dialPatience}).DialContext(f.ctx, "tcp", f.target)
	if err != nil || !f.keep(service) {
		return
	}
	defer f.drop(service)
	var back sync.WaitGroup
	back.Go(func() { pass(guest, service) })
	pass(service, guest)
	back.Wait()
}

// pass copies one direction and ends it.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
	_ = from.Close()
}

// keep notes a connection for close; it closes it at once when it is too late.
func (f *forward) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		_ = c.Close()
		return false
	}
	f.open[c] = true
	return true
}

func (f *forward) drop(c net.Conn) {
	_ = c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
}
