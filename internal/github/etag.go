package github

import (
	"container/list"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	// Most that the cache holds. A page of jobs is at most a few hundred kB, a page of runs 1.5 MB.
	maxCached      = 4096
	maxCachedBytes = 64 << 20
	maxEntryBytes  = 8 << 20
)

// etagCache asks for lists on the condition that they changed: a 304 doesn't count against the hourly budget (GitHub
// docs, "Best practices for using the REST API"). Callers see the remembered 200. It holds only 200 replies to GETs
// that carry an ETag, the least recently used go first.
type etagCache struct {
	next http.RoundTripper
	// token is a hash of the token: ETags may differ between credentials.
	token string

	mu      sync.Mutex
	entries map[string]*list.Element // of *cached
	order   *list.List               // most recently used first
	bytes   int
}

// cached is one remembered reply; it is never changed once stored.
type cached struct {
	key, etag string
	header    http.Header
	body      []byte
}

func newETagCache(next http.RoundTripper, token string) *etagCache {
	return &etagCache{next: next, token: token, entries: map[string]*list.Element{}, order: list.New()}
}

func (c *etagCache) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || req.Header.Get("If-None-Match") != "" {
		return c.next.RoundTrip(req)
	}
	key := strings.Join([]string{req.Method, req.URL.String(), req.Header.Get("Accept"), c.token}, "\n")
	known := c.get(key)
	if known != nil {
		req = req.Clone(req.Context())
		req.Header.Set("If-None-Match", known.etag)
	}
	res, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch res.StatusCode {
	case http.StatusNotModified:
		return c.revive(res, known, key)
	case http.StatusOK:
		c.remember(key, res)
	}
	return res, nil
}

// revive makes the remembered 200 of a 304: its body, and its headers as far as the 304 doesn't bring newer ones
// (RFC 9111, 4.3.4). A 304 that doesn't name our version (RFC 9110, 15.4.5: it must) is an error, and ours is
// forgotten: the repeat asks without a condition.
func (c *etagCache) revive(res *http.Response, known *cached, key string) (*http.Response, error) {
	if known == nil {
		return nil, &lostError{cause: errors.New("a 304 that wasn't asked for"), sent: true}
	}
	if weak(res.Header.Get("Etag")) != weak(known.etag) {
		c.forget(key)
		return nil, &lostError{cause: errors.New("a 304 that isn't about the version asked about"), sent: true}
	}
	header := known.header.Clone()
	for name, values := range res.Header {
		switch name {
		case "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Etag":
		default:
			header[name] = values
		}
	}
	out := &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: res.Proto, ProtoMajor: res.ProtoMajor, ProtoMinor: res.ProtoMinor,
		Header: header, Request: res.Request, TLS: res.TLS,
	}
	setBody(out, known.body)
	return out, nil
}

// weak drops the mark of weak ETags: If-None-Match compares without it (RFC 9110, 13.1.2).
func weak(etag string) string { return strings.TrimPrefix(etag, "W/") }

func (c *etagCache) get(key string) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached) //nolint:errcheck,forcetypeassert // the list holds nothing else
}

func (c *etagCache) remember(key string, res *http.Response) {
	body, etag := peek(res), res.Header.Get("Etag")
	c.forget(key)
	if etag == "" || len(body) > maxEntryBytes || res.Header.Get("Content-Encoding") != "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key) // another call may have stored it meanwhile
	c.entries[key] = c.order.PushFront(&cached{key: key, etag: etag, header: res.Header.Clone(), body: body})
	c.bytes += len(body)
	for len(c.entries) > maxCached || c.bytes > maxCachedBytes {
		c.drop(c.order.Back().Value.(*cached).key) //nolint:errcheck,forcetypeassert // the list holds nothing else
	}
}

// onlyRuns forgets what is known of runs but the active ones, of the repository whose runs are below prefix: nobody asks
// for the jobs of a finished run again, and there are thousands of them a week.
func (c *etagCache) onlyRuns(prefix string, active []int64) {
	keep := make(map[string]bool, len(active))
	for _, id := range active {
		keep[strconv.FormatInt(id, 10)] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.entries {
		if rest, ok := strings.CutPrefix(key, http.MethodGet+"\n"+prefix); ok {
			if id, _, _ := strings.Cut(rest, "/"); !keep[id] {
				c.drop(key)
			}
		}
	}
}

func (c *etagCache) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
}

// drop needs the lock.
func (c *etagCache) drop(key string) {
	e, ok := c.entries[key]
	if !ok {
		return
	}
	c.bytes -= len(e.Value.(*cached).body) //nolint:errcheck,forcetypeassert // the list holds nothing else
	c.order.Remove(e)
	delete(c.entries, key)
}
