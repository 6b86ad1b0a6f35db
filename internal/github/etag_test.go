package github

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ask sends a GET through the cache alone.
func ask(t *testing.T, c *etagCache, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// versions is a server that answers with a body and its ETag, or 304, and keeps what it was asked.
type versions struct {
	mu     sync.Mutex
	body   string
	etag   string
	status int
	header http.Header
	asked  []string // If-None-Match of each request
}

func (v *versions) RoundTrip(req *http.Request) (*http.Response, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked = append(v.asked, req.Header.Get("If-None-Match"))
	h := v.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if v.etag != "" {
		h.Set("ETag", v.etag)
	}
	if v.status != 0 {
		return in(reply(v.status, "trouble", h)), nil
	}
	if v.etag != "" && req.Header.Get("If-None-Match") == v.etag {
		return in(reply(http.StatusNotModified, "", h)), nil
	}
	return in(reply(http.StatusOK, v.body, h)), nil
}

// in is the reply as it comes from the wire.
func in(res *http.Response) *http.Response {
	if err := readWhole(res); err != nil {
		panic(err)
	}
	return res
}

func TestA304IsTheRemembered200WithNewHeaders(t *testing.T) {
	v := &versions{body: `{"a":1}`, etag: `W/"1"`, header: http.Header{"X-Ratelimit-Remaining": {"10"}, "Link": {"<p2>; rel=\"next\""}, "Content-Type": {"application/json"}}}
	c := newETagCache(v, "t")
	ask(t, c, "https://h/a?page=1")
	v.header = http.Header{"X-Ratelimit-Remaining": {"9"}, "Content-Type": {"text/html"}}
	res, body := ask(t, c, "https://h/a?page=1")
	if res.StatusCode != http.StatusOK || body != `{"a":1}` || res.ContentLength != 7 {
		t.Errorf("%d %q %d", res.StatusCode, body, res.ContentLength)
	}
	want := http.Header{"X-Ratelimit-Remaining": {"9"}, "Link": {"<p2>; rel=\"next\""}, "Content-Type": {"application/json"}, "Etag": {`W/"1"`}}
	if d := cmp.Diff(want, res.Header); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"", `W/"1"`}, v.asked); d != "" {
		t.Error(d)
	}
	v.body, v.etag = `{"a":2}`, `W/"2"`
	if _, body := ask(t, c, "https://h/a?page=1"); body != `{"a":2}` {
		t.Errorf("a new version: %q", body)
	}
	if _, body := ask(t, c, "https://h/a?page=1"); body != `{"a":2}` {
		t.Errorf("the new version again: %q", body)
	}
}

func TestCacheTellsQueriesMethodsAndTokensApart(t *testing.T) {
	v := &versions{body: "x", etag: `"1"`}
	c := newETagCache(v, "t")
	ask(t, c, "https://h/a?page=1")
	ask(t, c, "https://h/a?page=2")
	ask(t, c, "https://h/a?page=1", "Accept", "application/other")
	if d := cmp.Diff([]string{"", "", ""}, v.asked); d != "" {
		t.Error(d)
	}
	other := newETagCache(v, "u")
	other.entries, other.order = c.entries, c.order
	ask(t, other, "https://h/a?page=1")
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodDelete, "https://h/a?page=1", nil)
	_, _ = c.RoundTrip(req)
	if v.asked[3] != "" || v.asked[4] != "" {
		t.Errorf("another token or method asks on a condition: %q", v.asked)
	}
}

func TestErrorsAreNeverRememberedAndForgetNothing(t *testing.T) {
	v := &versions{body: "good", etag: `"1"`}
	c := newETagCache(v, "t")
	ask(t, c, "https://h/a")
	for _, status := range []int{500, 502, 403, 404, 429, 202} {
		v.status, v.etag = status, fmt.Sprintf(`"%d"`, status)
		if res, body := ask(t, c, "https://h/a"); res.StatusCode != status || body != "trouble" {
			t.Errorf("%d came as %d %q", status, res.StatusCode, body)
		}
	}
	v.status, v.etag = 0, `"1"`
	if _, body := ask(t, c, "https://h/a"); body != "good" {
		t.Errorf("%q", body)
	}
	for i, asked := range v.asked[1:] {
		if asked != `"1"` {
			t.Errorf("request %d asked about %q", i+2, asked)
		}
	}
}

func TestA304OfAnotherVersionIsAskedAgainWithoutCondition(t *testing.T) {
	for name, etag := range map[string]string{"another": `W/"other"`, "none": ""} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.addRunner(1, "r", "online", true)
			c := newClient(t, f)
			if _, err := c.Runners(t.Context(), octo); err != nil {
				t.Fatal(err)
			}
			f.addRunner(2, "s", "online", false)
			lies := 1
			f.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				if lies == 0 {
					return false
				}
				lies--
				w.Header().Set("ETag", etag)
				w.WriteHeader(http.StatusNotModified)
				return true
			}
			got, err := c.Runners(t.Context(), octo)
			if err != nil || len(got) != 2 {
				t.Errorf("%v, %v", got, err)
			}
			if f.seen[2].Header.Get("If-None-Match") != "" {
				t.Error("the repeat has a condition")
			}
		})
	}
}

func TestCacheIsBoundedAndForgetsTheLeastUsed(t *testing.T) {
	v := &versions{body: strings.Repeat("x", 1<<20), etag: `"1"`}
	c := newETagCache(v, "t")
	for i := range 70 {
		ask(t, c, fmt.Sprintf("https://h/%d", i))
		ask(t, c, "https://h/0") // always in use
	}
	if c.bytes > maxCachedBytes || len(c.entries) != maxCachedBytes>>20 || c.order.Len() != len(c.entries) {
		t.Errorf("%d bytes, %d entries, %d in order", c.bytes, len(c.entries), c.order.Len())
	}
	v.asked = nil
	ask(t, c, "https://h/0")
	ask(t, c, "https://h/1")
	if d := cmp.Diff([]string{`"1"`, ""}, v.asked); d != "" {
		t.Error(d)
	}
	v.body = "s"
	for i := range maxCached + 10 {
		ask(t, c, fmt.Sprintf("https://h/small/%d", i))
	}
	if len(c.entries) > maxCached {
		t.Errorf("%d entries", len(c.entries))
	}
	v.body = strings.Repeat("x", maxEntryBytes+1)
	before := c.bytes
	ask(t, c, "https://h/huge")
	if c.bytes != before {
		t.Error("a huge reply is kept")
	}
}

func TestJobsOfRunsThatHaveEndedAreForgotten(t *testing.T) {
	f := newFake(t)
	c := newClient(t, f)
	f.addRun(1, "queued", queued(11))
	f.addRun(2, "queued", queued(21))
	for _, want := range []string{"1 2", "2", ""} {
		if _, err := c.Jobs(t.Context(), octo); err != nil {
			t.Fatal(err)
		}
		var kept []string
		for key := range c.cache.entries {
			if _, rest, ok := strings.Cut(key, "/repos/octo-org/octo-repo/actions/runs/"); ok {
				run, _, _ := strings.Cut(rest, "/")
				kept = append(kept, run)
			}
		}
		slices.Sort(kept)
		if got := strings.Join(kept, " "); got != want {
			t.Errorf("the cache keeps the jobs of runs %q, want %q", got, want)
		}
		f.runs = f.runs[min(1, len(f.runs)):]
	}
}

func TestNothingElseIsForgottenWithARunThatHasEnded(t *testing.T) {
	v := &versions{body: "body", etag: `"1"`}
	c := newETagCache(v, "t")
	const ended = "https://h/repos/o/r/actions/runs/1/jobs?filter=latest"
	for _, url := range []string{
		ended, "https://h/repos/o/r/actions/runs/12/jobs?filter=latest", "https://h/repos/o/r/actions/runs?status=queued",
		"https://h/repos/o/other/actions/runs/1/jobs?filter=latest", "https://h/repos/o/r/actions/runners",
	} {
		ask(t, c, url)
	}
	c.onlyRuns("https://h/repos/o/r/actions/runs/", []int64{12})
	if len(c.entries) != 4 || c.bytes != 4*len(v.body) {
		t.Errorf("%d entries of %d bytes, want 4 of %d", len(c.entries), c.bytes, 4*len(v.body))
	}
	v.asked = nil
	if ask(t, c, ended); v.asked[0] != "" {
		t.Error("the ended run's jobs are still known")
	}
}

func TestCacheIsSafeForConcurrentUse(t *testing.T) {
	v := &versions{body: "body", etag: `"1"`}
	c := newETagCache(v, "t")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				if _, body := ask(t, c, fmt.Sprintf("https://h/%d", i%10)); body != "body" {
					t.Errorf("%q", body)
				}
			}
		})
	}
	wg.Wait()
	if c.bytes != 40 || len(c.entries) != 10 {
		t.Errorf("%d bytes in %d entries", c.bytes, len(c.entries))
	}
}
