package proxmox

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// endpoint is one address of the cluster. Any node answers any call, at the price of a hop.
type endpoint struct {
	base string // "https://pve1:8006/api2/json"
	host string // "pve1:8006", for logs and errors

	down     time.Time // not before this while another endpoint is up
	failures int       // in a row
}

// parseEndpoint reads "https://host:port", with or without /api2/json. Clear text is for loopback only: the token
// travels with every request.
func parseEndpoint(s string) (*endpoint, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" {
		return nil, errors.New("want https://host:8006") // the text itself may hold a password
	}
	path := strings.TrimSuffix(u.Path, "/")
	switch {
	case u.User != nil:
		return nil, errors.New("a user name in it; the token has options of its own")
	case path != "" && path != "/api2/json" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("more than an address in %q; want https://host:8006", u.Redacted())
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("http://%s would send the token in clear; use https://%s", u.Host, u.Host)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("scheme %q; want https://host:8006", u.Scheme)
	}
	return &endpoint{base: u.Scheme + "://" + u.Host + "/api2/json", host: u.Host}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// endpoints chooses among the addresses: the one that answered last stays, one that didn't is left alone for a while.
type endpoints struct {
	log *slog.Logger

	mu     sync.Mutex
	list   []*endpoint
	chosen int
}

// order gives every endpoint once: those that are up from the chosen one on, then the others by when they may be
// tried again. None is ever left out: when all are down, trying is the only way to see that one is back.
func (e *endpoints) order() []*endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	var up, down []*endpoint
	for i := range e.list {
		p := e.list[(e.chosen+i)%len(e.list)]
		if p.down.After(now) {
			down = append(down, p)
		} else {
			up = append(up, p)
		}
	}
	slices.SortStableFunc(down, func(a, b *endpoint) int { return a.down.Compare(b.down) })
	return append(up, down...)
}

// answered makes p the choice; reason says why the one before was left.
func (e *endpoints) answered(p *endpoint, reason string) {
	e.mu.Lock()
	p.down, p.failures = time.Time{}, 0
	before := e.list[e.chosen]
	e.chosen = slices.Index(e.list, p)
	e.mu.Unlock()
	if before != p {
		if reason == "" {
			reason = "still marked as down"
		}
		e.log.Warn("proxmox endpoint failed over", "from", before.host, "to", p.host, "reason", reason)
	}
}

// failed leaves p alone for a while, longer each time.
func (e *endpoints) failed(p *endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p.down = time.Now().Add(min(firstDown<<min(p.failures, 10), longestDown))
	p.failures++
}
