package wire

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// Memory is a listener whose connections are in this process: HTTP on them is HTTP, but nothing of the system is involved, so
// that they work in virtual time. Make one with [NewMemory].
type Memory struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// NewMemory makes a listener. It owns no goroutine.
func NewMemory() *Memory { return &Memory{incoming: make(chan net.Conn), closed: make(chan struct{})} }

// Accept implements [net.Listener].
func (m *Memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.incoming:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]: from then on nobody is connected. Calling it again does nothing more.
func (m *Memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

// Addr implements [net.Listener].
func (m *Memory) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "tcp" }

// String is an address of this machine: stand-ins open their doors to those only.
func (memoryAddr) String() string { return "127.0.0.1:0" }

// Dial connects to the listener, whatever the address is. It is a [http.Transport]'s DialContext and DialTLSContext: the
// connection counts as encrypted where it has to be.
func (m *Memory) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := newStream(), newStream()
	select {
	case m.incoming <- &memoryConn{in: near, out: far}:
		return &memoryConn{in: far, out: near}, nil
	case <-m.closed:
		return nil, errRefused()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Transport speaks HTTP over connections of the listener, a new one for each request: [http.Transport] repeats some requests
// by itself when a connection that it used before breaks.
func (m *Memory) Transport() *http.Transport {
	return &http.Transport{DialContext: m.Dial, DialTLSContext: m.Dial, DisableKeepAlives: true, DisableCompression: true}
}

// memoryConn is one end of a connection.
type memoryConn struct {
	in, out *stream
	mu      sync.Mutex
	until   time.Time // of reads; what is under way keeps its own
}

func (c *memoryConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	until := c.until
	c.mu.Unlock()
	return c.in.read(p, until)
}

func (c *memoryConn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close ends both directions: what was written can still be read.
func (c *memoryConn) Close() error {
	c.out.end(nil)
	c.in.end(net.ErrClosed)
	return nil
}

// Reset ends both directions at once, as an RST does: the other end can't take it for an end.
func (c *memoryConn) Reset() {
	c.out.end(errReset())
	c.in.end(net.ErrClosed)
}

func (c *memoryConn) LocalAddr() net.Addr  { return memoryAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr { return memoryAddr{} }

func (c *memoryConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.until = t
	c.mu.Unlock()
	return nil
}

// SetWriteDeadline does nothing: writes never wait.
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

// stream is one direction of a connection.
type stream struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	ended  bool
	err    error         // what a reader gets at the end; nil is an orderly one
	change chan struct{} // holds a token when there is something to read
}

func newStream() *stream { return &stream{change: make(chan struct{}, 1)} }

func (s *stream) tell() {
	select {
	case s.change <- struct{}{}:
	default:
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	}
	n, err := s.buf.Write(p)
	s.tell()
	return n, err
}

// end ends the direction; an error takes back what wasn't read.
func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended, s.err = true, err
	}
	if err != nil {
		s.buf.Reset()
	}
	s.tell()
}

func (s *stream) read(p []byte, until time.Time) (int, error) {
	var late <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		late = t.C
	}
	for {
		s.mu.Lock()
		switch {
		case s.buf.Len() > 0:
			n, err := s.buf.Read(p)
			s.mu.Unlock()
			return n, err
		case s.ended:
			err := s.err
			s.tell() // for whoever reads next
			s.mu.Unlock()
			if err == nil {
				err = io.EOF
			}
			return 0, err
		}
		s.mu.Unlock()
		select {
		case <-s.change:
		case <-late:
			return 0, os.ErrDeadlineExceeded
		}
	}
}
