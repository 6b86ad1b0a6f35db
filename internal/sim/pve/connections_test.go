package pve

import (
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"
)

func TestConnectionsInMemoryAreAsGoodAsCalls(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		fleet.rt = s.Connections()
		began := time.Now()
		fleet.vmFor("270")
		if took := time.Since(began); took < 260*time.Millisecond || took > 300*time.Millisecond {
			t.Errorf("the clone took %s", took)
		}
		if exit := fleet.task(http.MethodPost, vmPath("270", "/status/start")); exit != "OK" {
			t.Fatal(exit)
		}
		fleet.must("500 unable to create VM 270: config file already exists", http.MethodPost, vmPath("9000", "/clone"), "newid=270", "pool=ci")
		for kind, want := range map[string]error{"reset_after": syscall.ECONNRESET, "cut_body": io.ErrUnexpectedEOF} {
			if _, err := s.Fault(FaultSpec{Match: FaultMatch{Path: "/version"}, Kind: kind}); err != nil {
				t.Fatal(err)
			}
			if _, err := fleet.try(http.MethodGet, "/version"); !errors.Is(err, want) {
				t.Errorf("%s: %v", kind, err)
			}
		}
		s.Close()
		if _, err := fleet.try(http.MethodGet, "/version"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after Close: %v", err)
		}
	})
}
