package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
)

// link carries requests to a stand-in, and lets go wrong what the plan of faults says.
type link struct {
	w    *world
	side string
	proc *process // nil for guests
	next http.RoundTripper
}

// errDead is what a process that was killed gets for all that it still tries.
var errDead = errors.New("this process was killed")

// RoundTrip implements [http.RoundTripper].
func (l *link) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	if l.proc.dead() {
		return nil, errDead
	}
	key := l.side + " " + req.Method + " " + req.URL.RequestURI()
	if made, err := url.ParseQuery(string(body)); err == nil && made.Has("newid") { // clones of a template have the same path
		key += " " + made.Get("newid")
	}
	if _, after, is := bytes.Cut(body, []byte(`filename="`)); is { // so have uploads to a storage
		name, _, _ := bytes.Cut(after, []byte(`"`))
		key += " " + string(name)
	}
	if l.side == toGitHub && len(body) > 0 { // and registrations
		key += " " + string(body)
	}
	if l.proc == nil { // guests have the same paths, but each its own token
		key += " " + req.Header.Get("Authorization")
	} else if l.w.lease { // and so have two dispatchers
		key = fmt.Sprintf("%d %s", l.proc.gen, key)
	}
	if err := l.w.turn(req.Context(), l.proc, key); err != nil {
		return nil, err
	}
	if l.proc.dead() {
		return nil, errDead
	}
	switch send := (sender{l, key, body}); {
	case l.proc == nil && time.Now().UnixNano() < l.w.cutOff.Load():
		return nil, errUnreachable()
	case l.proc == nil:
		return l.next.RoundTrip(req)
	case l.proc.term != nil: // here, where it has its turn: a frozen process asks when it wakes
		return l.proc.term.Guard(send).RoundTrip(req)
	default:
		return send.RoundTrip(req)
	}
}

// sender is a link to a request that has its turn.
type sender struct {
	*link
	key  string
	body []byte
}

// RoundTrip implements [http.RoundTripper].
func (l sender) RoundTrip(req *http.Request) (*http.Response, error) {
	c := newCall(l.side, l.proc.gen, req, l.body)
	c.fault = l.w.goesWrong(c)
	l.w.began(c)
	res, err := l.carry(c, req)
	_ = l.w.turn(context.WithoutCancel(req.Context()), l.proc, l.key+" reply")
	if l.proc.dead() {
		res, err = nil, errDead
	}
	c.err = err
	if res != nil {
		c.status = res.StatusCode
	}
	l.w.ended(c)
	return res, err
}

// unhurried carries each request when all else that happens at that instant has happened.
type unhurried struct {
	conductor *conductor
	next      http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (u unhurried) RoundTrip(req *http.Request) (*http.Response, error) {
	u.conductor.settle("admin")
	return u.next.RoundTrip(req)
}

// readBody takes the request's body and gives it another.
func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(req.Body)
	if cerr := req.Body.Close(); err == nil {
		err = cerr
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

// carry does what the fault says.
func (l *link) carry(c *call, req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	switch c.fault {
	case kindRefused:
		return nil, errUnreachable()
	case kindReset:
		return nil, errReset()
	case kindHang:
		<-ctx.Done()
		return nil, ctx.Err()
	case kindSlow:
		if !wait(ctx, slowFor) {
			return nil, ctx.Err()
		}
	case kind401, kind500, kind502, kind503, kind595, kind596:
		return answer(req, c.fault.status()), nil
	}
	res, err := l.execute(c, req)
	if err != nil {
		return nil, err
	}
	switch c.fault {
	case kindLost:
		return nil, errReset()
	case kindLate:
		if !wait(ctx, slowFor) {
			return nil, ctx.Err()
		}
	case kindMute:
		<-ctx.Done()
		return nil, ctx.Err()
	case kind596After, kind502After:
		return answer(req, c.fault.status()), nil
	case kindHalf:
		if len(c.reply) == 0 { // there is nothing to break off
			return nil, errReset()
		}
		res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(c.reply[:len(c.reply)/2]), broken{}))
	}
	return res, nil
}

// execute hands the request to the stand-in and keeps its reply.
func (l *link) execute(c *call, req *http.Request) (*http.Response, error) {
	if c.is(routeClone) {
		l.w.grab(c)
	}
	c.executed = true
	res, err := l.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	c.reply, err = io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	c.real = res.StatusCode
	res.Body = io.NopCloser(bytes.NewReader(c.reply))
	return res, nil
}

// slowFor is within what the clients wait for.
const slowFor = 4 * time.Second

func errUnreachable() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

func errReset() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}

// broken is a body that breaks off.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// answer is a reply that some proxy on the way makes.
func answer(req *http.Request, status int) *http.Response {
	text := http.StatusText(status)
	if text == "" {
		text = "Connection timed out" // pveproxy's 595 and 596
	}
	body := []byte(`{"message":"` + text + `"}`)
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, text), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}
