package world

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/runnerproto"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAMuteAgentNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuests(GuestOptions{Behave: func(pve.Machine) Behaviour { return MuteAgent }})
		defer g.Close()
		if err := g.Start(t.Context(), pve.Machine{VMID: 201}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := g.Agent(ctx, 201, "guest-ping", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ping: %v, want the deadline", err)
		}
	})
}

func TestARefusedVersionEndsTheListenerWithSeven(t *testing.T) {
	jit, err := runnerproto.Encode(runnerproto.Config{AgentID: 1, Name: "r-1", ServerURL: "http://github.invalid/r", Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	for behaviour, want := range map[Behaviour]string{Normal: `"exit_code":7,"outcome":"deprecated"`, NeverRegisters: `"outcome":"infrastructure"`} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			server := roundTrip(func(*http.Request) (*http.Response, error) {
				asked++
				body, err := json.Marshal(runnerproto.ErrorBody{TypeName: "RunnerVersionDeprecatedException"})
				return &http.Response{StatusCode: http.StatusForbidden, Body: io.NopCloser(bytes.NewReader(body))}, err
			})
			g := NewGuests(GuestOptions{Transport: server, Behave: func(pve.Machine) Behaviour { return behaviour }})
			defer g.Close()
			m := booted(t, g, 201)
			m.runOnce([]string{"--max-wait", "60", "--jit", "r-1"}, jit)
			<-m.off
			if text, err := g.ReadFile(201, resultPath); err != nil || !strings.Contains(text, want) {
				t.Errorf("%s: result %q, %v, want %s", behaviour, text, err, want)
			}
			if (asked == 0) != (behaviour == NeverRegisters) {
				t.Errorf("%s: %d requests", behaviour, asked)
			}
		})
	}
}
