package record

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"mayfly/internal/runner"
)

// The servers.
const (
	proxmoxServer = "proxmox"
	githubServer  = "github"
)

// mostBody bounds what is kept of one reply; the servers' lists are far below.
const mostBody = 16 << 20

// Recorder keeps exchanges in memory, as they are: only what Save writes is redacted. It is safe for concurrent use.
type Recorder struct {
	mu   sync.Mutex
	list []raw
}

// raw is one exchange as it was.
type raw struct {
	server string
	req    *http.Request
	status string // with the reason phrase
	header http.Header
	body   []byte
	ahead  time.Duration // the server's clock before ours
	told   bool          // it told its time
	err    error         // no reply
}

// Proxmox stands before the transport to Proxmox VE.
func (r *Recorder) Proxmox(next http.RoundTripper) http.RoundTripper {
	return tap{r, proxmoxServer, next}
}

// GitHub stands before the transport to GitHub.
func (r *Recorder) GitHub(next http.RoundTripper) http.RoundTripper {
	return tap{r, githubServer, next}
}

type tap struct {
	to     *Recorder
	server string
	next   http.RoundTripper
}

// RoundTrip hands the request on and keeps what comes back.
func (t tap) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("If-None-Match") != "" {
		// Nothing but the whole reply is of use to who has none yet.
		req = req.Clone(req.Context())
		req.Header.Del("If-None-Match")
	}
	began := time.Now()
	resp, err := t.next.RoundTrip(req)
	x := raw{server: t.server, req: req, err: err}
	if err == nil {
		x.status, x.header = resp.Status, resp.Header.Clone()
		if date, wrong := http.ParseTime(resp.Header.Get("Date")); wrong == nil {
			x.ahead, x.told = date.Sub(began), true
		}
		x.body, err = io.ReadAll(io.LimitReader(resp.Body, mostBody))
		if closed := resp.Body.Close(); err == nil {
			err = closed
		}
		resp.Body = io.NopCloser(bytes.NewReader(x.body))
		if err != nil {
			x.err, resp = fmt.Errorf("read reply: %w", err), nil
		}
	}
	t.to.mu.Lock()
	t.to.list = append(t.to.list, x)
	t.to.mu.Unlock()
	return resp, x.err
}

// secretsOf are what no text may repeat.
func secretsOf(list ...runner.Secret) []string {
	var all []string
	for _, s := range list {
		if !s.IsZero() {
			all = append(all, s.Reveal())
		}
	}
	return all
}
