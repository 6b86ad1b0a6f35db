package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"mayfly/internal/fleet"
)

// Limits of one request: these pages are small and their readers are near.
const (
	headerTimeout   = 5 * time.Second
	requestTimeout  = 10 * time.Second
	idleTimeout     = time.Minute
	shutdownTimeout = 2 * time.Second
)

// Fleet tells how the fleet is.
type Fleet interface {
	Status() fleet.Status
}

// Configured is a [Fleet] that tells its configuration, too.
type Configured interface {
	// Configuration is what is in force, to be written as JSON, without secrets.
	Configuration() any
}

// Handler serves the pages.
//
//	GET /healthz  200 while the process lives and its loop runs; 503 with the reason when the loop has not come
//	              round for Stuck
//	GET /readyz   200 when new jobs can be served, else 503; the whole status either way, with the reasons and why
//	              each waiting job waits
//	GET /status   200 with the same
//	GET /config   200 with the configuration in force, without secrets, where f is Configured
//	GET /metrics  figures for Prometheus, where metrics isn't nil
func Handler(f Fleet, metrics http.Handler, now func() time.Time) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		s := f.Status()
		if reason := Stalled(s, now()); reason != "" {
			reply(w, http.StatusServiceUnavailable, map[string]any{"ok": false, "reason": reason})
			return
		}
		reply(w, http.StatusOK, map[string]any{"ok": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s := f.Status()
		code := http.StatusOK
		if !s.Ready {
			code = http.StatusServiceUnavailable
		}
		reply(w, code, s)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, f.Status()) })
	if c, ok := f.(Configured); ok {
		mux.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, c.Configuration()) })
	}
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
	return mux
}

// Stuck is how long the controller may take to come round before it counts as hung: it plans at least once in each
// poll interval, which is at most 10 minutes.
const Stuck = 15 * time.Minute

// Stalled says why the loop behind the status counts as hung; "" when it doesn't.
func Stalled(s fleet.Status, now time.Time) string {
	age := now.Sub(s.At)
	if s.At.IsZero() || age <= Stuck {
		return ""
	}
	return fmt.Sprintf("the controller has not come round for %s; restart mayfly and report it", age.Round(time.Second))
}

// Serve serves the pages on the listener until ctx ends.
func Serve(ctx context.Context, l net.Listener, f Fleet, metrics http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler: Handler(f, metrics, time.Now), ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout,
		WriteTimeout: requestTimeout, IdleTimeout: idleTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := srv.Shutdown(ctx)
	if serveErr := <-ended; !errors.Is(serveErr, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), serveErr)
	}
	return err
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the reader has gone: nobody to tell
}
