package gh

import (
	"errors"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
)

func TestConnectionsInMemoryServeAWholeLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{Seed: 3})
		b.transport = b.s.Connections()
		wholeLife(t, b)
		b.arm(FaultSpec{Kind: "reset_after", Match: FaultMatch{Path: "/user"}})
		if _, err := b.try(http.MethodGet, "/user", nil); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v", err)
		}
		b.s.Close()
		for _, rt := range []http.RoundTripper{b.transport, b.s.Connections()} {
			b.transport = rt
			if _, err := b.try(http.MethodGet, "/user", nil); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("after Close: %v", err)
			}
		}
	})
}
