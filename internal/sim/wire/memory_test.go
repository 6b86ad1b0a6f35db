package wire_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/wire"
)

// Connections in memory carry the phrase and the faults as real ones do, in virtual time.
func TestFaultsOverConnectionsInMemory(t *testing.T) {
	for kind, want := range map[wire.Kind]struct {
		err    error
		status string
		served int
	}{
		wire.None:        {nil, "500 VM 7 is locked (clone)", 1},
		wire.ResetBefore: {syscall.ECONNRESET, "", 0},
		wire.ResetAfter:  {syscall.ECONNRESET, "", 1},
		wire.CutBody:     {io.ErrUnexpectedEOF, "500 VM 7 is locked (clone)", 1},
		wire.Answer:      {nil, "596 Connection timed out", 0},
		wire.AnswerAfter: {nil, "596 Connection timed out", 1},
		wire.Twice:       {nil, "500 VM 7 is locked (clone)", 2},
		wire.Delay:       {nil, "500 VM 7 is locked (clone)", 1},
	} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				served := 0
				s := wire.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if body, err := io.ReadAll(r.Body); err != nil || string(body) != "ping" {
						t.Errorf("body %q, %v", body, err)
					}
					served++
					wire.SetReason(w, "VM 7 is locked (clone)")
					w.WriteHeader(http.StatusInternalServerError)
					_, _ = io.WriteString(w, "pong")
				}), wire.Options{Fault: func(*http.Request) wire.Fault {
					return wire.Fault{Kind: kind, Status: 596, Reason: "Connection timed out", Delay: time.Minute}
				}})
				l := wire.NewMemory()
				ended := make(chan error, 1)
				go func() { ended <- s.Serve(l) }()
				defer func() {
					s.Close()
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}()
				began := time.Now()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://pve1:8006/", strings.NewReader("ping"))
				if err != nil {
					t.Fatal(err)
				}
				res, err := l.Transport().RoundTrip(req)
				status := ""
				if err == nil {
					status = res.Status
					_, err = io.ReadAll(res.Body)
					_ = res.Body.Close()
				}
				if !errors.Is(err, want.err) || want.err == nil && err != nil || status != want.status || served != want.served {
					t.Errorf("%q, %v, served %d times; want %q, %v, %d", status, err, served, want.status, want.err, want.served)
				}
				if took := time.Since(began); took != time.Minute {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

func TestClosedListenerInMemoryRefusesConnections(t *testing.T) {
	l := wire.NewMemory()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Dial(t.Context(), "tcp", "pve1:8006"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("accepted")
	}
}
