package proxmox_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// slow answers every request after a second and notes how many were in flight to each node.
type slow struct {
	mu       sync.Mutex
	now, max map[string]int
}

func (s *slow) RoundTrip(req *http.Request) (*http.Response, error) {
	node := strings.Split(req.URL.Path, "/")[4]
	s.mu.Lock()
	s.now[node]++
	s.max[node] = max(s.max[node], s.now[node])
	s.mu.Unlock()
	time.Sleep(time.Second)
	s.mu.Lock()
	s.now[node]--
	s.mu.Unlock()
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Header: http.Header{}, Request: req,
		Body: io.NopCloser(strings.NewReader(`{"data":[]}`)),
	}, nil
}

func TestAtMostThreeCallsAreInFlightToANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &slow{now: map[string]int{}, max: map[string]int{}}
		c, err := proxmox.New(proxmox.Options{
			Endpoints: []string{"https://pve1:8006"}, TokenID: tokenID, TokenSecret: runner.NewSecret(planted), Transport: transport,
		})
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for range 10 {
			for _, node := range []string{"pve1", "pve2"} {
				calls.Go(func() {
					if _, err := c.NodeVMs(t.Context(), node); err != nil {
						t.Error(err)
					}
				})
			}
		}
		synctest.Wait()
		// Whoever waits for a turn can give up.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.NodeVMs(ctx, "pve1"); !errors.Is(err, context.Canceled) || !errors.Is(err, proxmox.Unavailable) {
			t.Errorf("a call that gave up its turn: %v", err)
		}
		calls.Wait()
		if transport.max["pve1"] != 3 || transport.max["pve2"] != 3 {
			t.Errorf("most calls in flight: %v, want 3 to each node", transport.max)
		}
	})
}
