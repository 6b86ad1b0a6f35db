package wire

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// lingerBytes is how much of an unread body is thrown away so that the client can read an early reply; what is longer
// breaks the connection.
const lingerBytes = 1 << 20

// Serve accepts connections until the server closes or the listener fails; wrap the listener with [tls.NewListener]
// for TLS. It returns nil after [Server.Close].
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	for {
		conn, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = conn.Close()
			return nil
		}
		s.conns[conn] = struct{}{}
		s.wg.Add(1)
		s.mu.Unlock()
		go s.serveConn(conn)
	}
}

// idleConn moves the read deadline on with every read, so that it measures silence.
type idleConn struct {
	net.Conn
	timeout time.Duration
}

func (c idleConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (s *Server) serveConn(conn net.Conn) {
	defer s.wg.Done()
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
		_ = conn.Close()
	}()
	header := &io.LimitedReader{R: idleConn{conn, s.opts.IdleTimeout}}
	in := bufio.NewReaderSize(header, 4096)
	for n := 1; n <= s.opts.MaxRequests; n++ {
		header.N = int64(s.opts.MaxHeader - in.Buffered())
		r, err := http.ReadRequest(in)
		if err != nil {
			s.refuse(conn, header, err)
			return
		}
		header.N = 1<<63 - 1 // the body has limits of its own
		r.RemoteAddr = conn.RemoteAddr().String()
		if c, ok := conn.(*tls.Conn); ok {
			state := c.ConnectionState()
			r.TLS = &state
		}
		if !s.serveRequest(conn, r, n == s.opts.MaxRequests) {
			return
		}
	}
}

// refuse answers what can't be read as a request, where there is somebody to answer.
func (s *Server) refuse(conn net.Conn, header *io.LimitedReader, err error) {
	w := s.newResponse()
	var tlsErr tls.RecordHeaderError
	switch {
	case errors.As(err, &tlsErr) && tlsErr.Conn != nil:
		// pveproxy sends clients that speak plain HTTP to the TLS port; their request is gone, so only the status is kept.
		w.header.Set("Location", "https://"+conn.LocalAddr().String()+"/")
		w.reply(http.StatusMovedPermanently, "Moved Permanently")
		_ = w.writeTo(tlsErr.Conn, true, false)
		return
	case header.N <= 0:
		w.reply(http.StatusBadRequest, "http header too large")
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), isTimeout(err):
		return
	default:
		w.reply(http.StatusBadRequest, "bad request")
	}
	s.opts.Logger.Debug("request refused", "reason", err)
	_ = w.writeTo(conn, true, false)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// serveRequest answers one request and reports whether the connection may serve another.
func (s *Server) serveRequest(conn net.Conn, r *http.Request, last bool) bool {
	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		if _, err := io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return false
		}
	}
	out := s.exchange(s.ctx, r)
	if out.reply == nil || s.ctx.Err() != nil {
		reset(conn)
		return false
	}
	left, _ := io.CopyN(io.Discard, r.Body, lingerBytes)
	drained := left < lingerBytes
	// pveproxy closes after every answer of 400 and above.
	closing := last || r.Close || !drained || out.cut || out.reply.status >= 400
	if err := conn.SetWriteDeadline(time.Now().Add(s.opts.IdleTimeout)); err != nil {
		return false
	}
	if err := out.reply.writeTo(conn, closing, out.cut); err != nil {
		s.opts.Logger.Debug("reply not written", "reason", err)
		return false
	}
	return !closing
}

// reset breaks the connection with an RST where the transport has one, so that the client can't take it for an end.
func reset(conn net.Conn) {
	under := conn
	if c, ok := conn.(*tls.Conn); ok {
		under = c.NetConn()
	}
	switch c := under.(type) {
	case *net.TCPConn:
		_ = c.SetLinger(0)
	case *memoryConn:
		c.Reset()
	}
	_ = under.Close()
}
