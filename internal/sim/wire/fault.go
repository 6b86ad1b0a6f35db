package wire

import (
	"context"
	"net"
	"os"
	"syscall"
	"time"
)

// Kind is a way in which a request can go wrong.
type Kind int

// The kinds of fault. "Before" means without effect: the handler never runs. "After" means that the handler ran and only
// its reply is lost.
const (
	None        Kind = iota
	Refuse           // no connection; over a listener, where the connection stands already, it is reset before the effect
	ResetBefore      // connection reset, no effect
	ResetAfter       // connection reset after the effect
	HoldBefore       // waits for Release, then goes on
	HoldAfter        // takes effect, then waits for Release before it replies
	Delay            // waits Delay, then goes on
	Answer           // no effect; Status and Reason are the reply, without a body
	AnswerAfter      // takes effect, then the same
	CutBody          // takes effect, and the reply's body breaks off half-way
	Twice            // takes effect twice, as when something on the way repeats it; the reply is the second's
)

// String returns the name that logs and doors use.
func (k Kind) String() string {
	names := [...]string{"", "refuse", "reset_before", "reset_after", "hold_before", "hold_after", "delay", "answer", "answer_after", "cut_body", "twice"}
	if k < 0 || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Fault is what happens to one request. The zero value is no fault.
type Fault struct {
	Kind    Kind
	Status  int             // of Answer and AnswerAfter
	Reason  string          // of Answer and AnswerAfter
	Delay   time.Duration   // of Delay; for the other kinds the wait that comes first
	Release <-chan struct{} // of HoldBefore and HoldAfter: closed to let the request go on
}

// wait holds the request as the fault says; an error means that the server closed meanwhile.
func (f Fault) wait(ctx context.Context, after bool) error {
	if !after && f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if (f.Kind == HoldBefore && !after || f.Kind == HoldAfter && after) && f.Release != nil {
		select {
		case <-f.Release:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func errRefused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

func errReset() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}
