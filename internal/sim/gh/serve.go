package gh

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxBody bounds a request's body in bytes.
const maxBody = 1 << 20

// ServeHTTP implements [http.Handler]. What it has read of a request takes effect even when the client gives up.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		reset(w)
		return
	}
	defer s.wg.Done()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request body: "+err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	rep := s.exchange(&incoming{
		method: r.Method, url: r.URL, header: r.Header, host: r.Host, https: r.TLS != nil, remote: r.RemoteAddr,
		body: body, gone: r.Context().Done(),
	})
	if rep.reset {
		reset(w)
		return
	}
	for k, v := range rep.header {
		w.Header()[k] = v
	}
	w.WriteHeader(rep.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(rep.body) // a client that has gone needs no reply
	}
}

// reset breaks the connection with an RST where there is one, so that the client can't take it for an end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or a recorder in a test
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// RoundTripper reaches the stand-in in process, as a client on loopback. The request is served in a goroutine of the
// server and takes effect even when the client gives up; only held polls end then, as they would with a connection.
// Unlike [http.Transport] it never repeats a request by itself.
func (s *Server) RoundTripper() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	in, err := arrive(req)
	if err != nil {
		return nil, err
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if !t.s.enter() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	done := make(chan reply, 1)
	go func() {
		defer t.s.wg.Done()
		done <- t.s.exchange(in)
	}()
	select {
	case rep := <-done:
		if rep.reset {
			return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
		}
		return rep.response(req), nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// arrive turns a client's request into the server's view of it.
func arrive(req *http.Request) (*incoming, error) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(io.LimitReader(req.Body, maxBody))
		if err = errors.Join(err, req.Body.Close()); err != nil {
			return nil, fmt.Errorf("read request body: %w", err)
		}
	}
	target, err := url.ParseRequestURI(req.URL.RequestURI())
	if err != nil {
		return nil, fmt.Errorf("request target: %w", err)
	}
	in := &incoming{
		method: req.Method, url: target, header: req.Header.Clone(), host: req.Host, https: req.URL.Scheme == "https",
		remote: "127.0.0.1:0", body: body, gone: req.Context().Done(),
	}
	if in.method == "" {
		in.method = http.MethodGet
	}
	if in.host == "" {
		in.host = req.URL.Host
	}
	if in.header == nil {
		in.header = http.Header{}
	}
	if in.header.Get("User-Agent") == "" {
		in.header.Set("User-Agent", "Go-http-client/1.1") // as http.Transport does
	}
	return in, nil
}

// response is the client's view of the reply.
func (r reply) response(req *http.Request) *http.Response {
	header := r.header.Clone()
	if header.Get("Date") == "" {
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat)) // as net/http does
	}
	header.Set("Content-Length", strconv.Itoa(len(r.body)))
	return &http.Response{
		Status: strings.TrimSpace(fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))), StatusCode: r.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
		Body: io.NopCloser(bytes.NewReader(r.body)), ContentLength: int64(len(r.body)), Request: req,
	}
}
