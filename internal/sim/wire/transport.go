package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// RoundTripper reaches the handler in process. The handler runs in a goroutine of the server and goes on when the
// client gives up, as it would behind a connection. Unlike http.Transport it never repeats a request by itself.
func (s *Server) RoundTripper() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	in, err := incoming(req)
	if err != nil {
		return nil, err
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if !t.s.enter() {
		return nil, errRefused()
	}
	done := make(chan outcome, 1)
	go func() {
		defer t.s.wg.Done()
		// The client's values stay (tests carry hints in them), its cancellation doesn't: what the server has
		// read, it does.
		ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
		defer cancel()
		defer context.AfterFunc(t.s.ctx, cancel)()
		out := t.s.exchange(ctx, in)
		if t.s.ctx.Err() != nil {
			out = outcome{err: errReset()}
		}
		done <- out
	}()
	select {
	case out := <-done:
		if out.reply == nil {
			return nil, out.err
		}
		return out.reply.result(req, out.cut), nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// incoming turns a client's request into the server's view of it.
func incoming(req *http.Request) (*http.Request, error) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		if cerr := req.Body.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, fmt.Errorf("read request body: %w", err)
		}
	}
	in := req.Clone(context.WithoutCancel(req.Context()))
	in.RequestURI = req.URL.RequestURI()
	u, err := url.ParseRequestURI(in.RequestURI)
	if err != nil {
		return nil, fmt.Errorf("request target %q: %w", in.RequestURI, err)
	}
	in.URL = u
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	in.RemoteAddr = "127.0.0.1:0"
	in.Body = io.NopCloser(bytes.NewReader(body))
	in.TransferEncoding = nil
	if req.ContentLength < 0 && len(body) > 0 { // net/http would send it in chunks
		in.ContentLength, in.TransferEncoding = -1, []string{"chunked"}
	} else {
		in.ContentLength = int64(len(body))
	}
	return in, nil
}
