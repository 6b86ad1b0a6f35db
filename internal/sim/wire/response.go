package wire

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// SetReason sets the reason phrase of the reply that w will write; without it the phrase is net/http's. It has no
// effect on other servers' writers. Line breaks end the phrase, as they would on the wire.
func SetReason(w http.ResponseWriter, reason string) {
	for {
		switch v := w.(type) {
		case *response:
			v.reason = firstLine(reason)
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return
		}
	}
}

// SetNote attaches a value to the exchange: [Options.Done] finds it in [Exchange.Note]. Other servers' writers drop it.
func SetNote(w http.ResponseWriter, note any) {
	for {
		switch v := w.(type) {
		case *response:
			v.note = note
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return
		}
	}
}

func firstLine(s string) string {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		return s[:i]
	}
	return s
}

// response collects a handler's reply: it is written in one piece, with a Content-Length.
type response struct {
	header http.Header
	status int
	reason string
	note   any
	body   bytes.Buffer
	clock  func() time.Time // nil is time.Now
}

func (s *Server) newResponse() *response {
	return &response{header: http.Header{}, clock: s.opts.Clock}
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// reply replaces whatever the handler wrote by a bare status line, as Proxmox's proxy does for 595 and 596.
func (w *response) reply(status int, reason string) {
	w.header, w.status, w.reason = http.Header{}, status, firstLine(reason)
	w.body.Reset()
}

func (w *response) statusLine() string {
	w.WriteHeader(http.StatusOK)
	reason := w.reason
	if reason == "" {
		reason = http.StatusText(w.status)
	}
	return fmt.Sprintf("%d %s", w.status, reason)
}

// finish adds the headers that every reply has (as recorded from pveproxy), at the time the reply is made.
func (w *response) finish(closing bool) {
	now := time.Now()
	if w.clock != nil {
		now = w.clock()
	}
	w.header.Set("Date", now.UTC().Format(http.TimeFormat))
	w.header.Set("Content-Length", strconv.Itoa(w.body.Len()))
	w.header.Set("Connection", "Keep-Alive")
	if closing {
		w.header.Set("Connection", "close")
	}
}

// writeTo puts the reply on a connection; cut stops half-way through the body.
func (w *response) writeTo(conn io.Writer, closing, cut bool) error {
	line := w.statusLine()
	w.finish(closing)
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %s\r\n", line)
	if err := w.header.Write(&b); err != nil {
		return fmt.Errorf("write headers: %w", err)
	}
	b.WriteString("\r\n")
	body := w.body.Bytes()
	if cut {
		body = body[:len(body)/2]
	}
	b.Write(body)
	_, err := conn.Write(b.Bytes())
	return err
}

// result makes the client's view of the reply, for the in-process transport.
func (w *response) result(req *http.Request, cut bool) *http.Response {
	line := w.statusLine()
	w.finish(false)
	header := w.header.Clone()
	header.Del("Connection")
	body := io.Reader(bytes.NewReader(w.body.Bytes()))
	if cut {
		body = io.MultiReader(bytes.NewReader(w.body.Bytes()[:w.body.Len()/2]), brokenReader{})
	}
	return &http.Response{
		Status: line, StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(body), ContentLength: int64(w.body.Len()), Request: req,
	}
}

// brokenReader is the rest of a body whose connection broke.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
