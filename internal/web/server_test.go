package web_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly/internal/fleet"
	"mayfly/internal/web"
)

type fixed fleet.Status

func (f fixed) Status() fleet.Status { return fleet.Status(f) }

func TestReadyzSaysNoWithTheReasons(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name   string
		path   string
		status fleet.Status
		code   int
		want   string
	}{
		{"ready", "/readyz", fleet.Status{At: now, Ready: true}, 200, ""},
		{"not ready", "/readyz", fleet.Status{At: now, Reasons: []string{"proxmox: refused"}}, 503, "proxmox: refused"},
		{"alive", "/healthz", fleet.Status{At: now}, 200, ""},
		{"not ready is alive", "/healthz", fleet.Status{At: now, Reasons: []string{"x"}}, 200, ""},
		{"stuck", "/healthz", fleet.Status{At: now.Add(-web.Stuck - time.Second)}, 503, ""},
		{"just started", "/healthz", fleet.Status{}, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			web.Handler(fixed(tc.status), nil, func() time.Time { return now }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, tc.path, nil))
			if w.Code != tc.code {
				t.Errorf("GET %s: %d, want %d", tc.path, w.Code, tc.code)
			}
			var body struct{ Reasons []string }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatalf("GET %s: not JSON: %v", tc.path, err)
			}
			if tc.want != "" && (len(body.Reasons) != 1 || body.Reasons[0] != tc.want) {
				t.Errorf("GET %s: reasons %q, want %q", tc.path, body.Reasons, tc.want)
			}
		})
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	defer goleak.VerifyNone(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- web.Serve(ctx, l, fixed{Ready: true}, nil, slog.New(slog.DiscardHandler))
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + l.Addr().String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// configured has a configuration to show.
type configured struct{ fixed }

func (configured) Configuration() any { return map[string]string{"token": "***"} }

func TestConfigIsShownByAFleetThatHasOne(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fleet web.Fleet
		code  int
	}{{"with", configured{}, http.StatusOK}, {"without", fixed{}, http.StatusNotFound}} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			web.Handler(tc.fleet, nil, time.Now).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/config", nil))
			if w.Code != tc.code {
				t.Fatalf("GET /config: %d, want %d", w.Code, tc.code)
			}
			if tc.code != http.StatusOK {
				return
			}
			var body map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body["token"] != "***" {
				t.Errorf("GET /config: %s: %v", w.Body, err)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("GET /config: content type %q", got)
			}
		})
	}
}
