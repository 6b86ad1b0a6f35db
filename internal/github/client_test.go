package github

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/runner"
)

func TestBaseURLIsCompletedAsEachGitHubHasIt(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "https://api.github.com/",
		"https://api.github.com":       "https://api.github.com/",
		"https://api.github.com/":      "https://api.github.com/",
		"https://API.github.com":       "https://API.github.com/",
		"https://ghe.example":          "https://ghe.example/api/v3/",
		"https://ghe.example/":         "https://ghe.example/api/v3/",
		"https://ghe.example/api/v3":   "https://ghe.example/api/v3/",
		"https://ghe.example/api/v3/":  "https://ghe.example/api/v3/",
		"https://ghe.example/prefix":   "https://ghe.example/prefix/",
		"https://api.octocorp.ghe.com": "https://api.octocorp.ghe.com/",
		"http://127.0.0.1:4711":        "http://127.0.0.1:4711/api/v3/",
		"http://localhost:4711/":       "http://localhost:4711/api/v3/",
		"http://[::1]:4711/api/v3":     "http://[::1]:4711/api/v3/",
	} {
		c, err := New(Options{BaseURL: in, Token: runner.NewSecret("t")})
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := c.gh.BaseURL(); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestImpossibleOptionsAreRefusedInOneLine(t *testing.T) {
	for name, o := range map[string]Options{
		"no token":             {},
		"token with a newline": {Token: runner.NewSecret("ghp_secretsecret\n")},
		"no scheme":            {BaseURL: "ghe.example", Token: runner.NewSecret("t")},
		"other scheme":         {BaseURL: "ssh://git@ghe.example", Token: runner.NewSecret("t")},
		"credentials":          {BaseURL: "https://user:ghp_secretsecret@ghe.example", Token: runner.NewSecret("t")},
		"broken":               {BaseURL: "https://user:ghp_secretsecret@ghe.example/%zz", Token: runner.NewSecret("t")},
		"query":                {BaseURL: "https://ghe.example?x=1", Token: runner.NewSecret("t")},
		"in clear":             {BaseURL: "http://ghe.example", Token: runner.NewSecret("t")},
		"in clear, an address": {BaseURL: "http://10.0.0.1", Token: runner.NewSecret("t")},
	} {
		_, err := New(o)
		if err == nil || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secretsecret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRenamedRepositoryIsFollowedWithinTheHost(t *testing.T) {
	f := newFake(t)
	f.addRunner(1, "r", "online", false)
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, old := strings.CutPrefix(r.URL.Path, "/repos/octo-org/old-name"); old {
			w.Header().Set("Location", "https://"+r.Host+root+rest+"?"+r.URL.RawQuery)
			code := http.StatusMovedPermanently
			if r.Method != http.MethodGet {
				code = http.StatusTemporaryRedirect
			}
			say(w, code, object{"message": "Moved"})
			return
		}
		f.ServeHTTP(w, r)
	}), func(o *Options) { o.Pace = time.Hour })
	old := runner.Target{Owner: "octo-org", Repo: "old-name"}
	if got, err := c.Runners(t.Context(), old); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := c.CreateJITConfig(t.Context(), old, "new", []string{"x"}, 1); err != nil {
		t.Errorf("%v", err)
	}
	if err := c.RemoveRunner(t.Context(), old, 1); !errors.Is(err, RateLimited) {
		t.Errorf("the redirect is the same change, this is another: %v", err)
	}
}

func TestTokenNeverLeavesTheAPIsHost(t *testing.T) {
	for name, to := range map[string]string{
		"other host": "https://evil.example/x", "other port": "https://api.github.com:8443/x", "in clear": "http://api.github.com/x",
	} {
		for _, code := range []int{301, 302, 307, 308} {
			var hosts []string
			c := newClient(t, nil, func(o *Options) {
				o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					hosts = append(hosts, r.URL.Scheme+"://"+r.URL.Host)
					return reply(code, "", http.Header{"Location": {to}}), nil
				})
			})
			_, err := c.Runners(t.Context(), octo)
			if !errors.Is(err, Invalid) || len(hosts) != 1 {
				t.Errorf("%s, %d: asked %q, %v", name, code, hosts, err)
			}
			err = c.RemoveRunner(t.Context(), octo, 1)
			if !errors.Is(err, Invalid) || len(hosts) != 2 {
				t.Errorf("%s, %d: asked %q, %v", name, code, hosts, err)
			}
		}
	}
}

func TestWireSendsNothingToAnotherHost(t *testing.T) {
	base, err := baseURL("")
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(roundTrip(func(r *http.Request) (*http.Response, error) {
		t.Errorf("sent to %s with %q", r.URL, r.Header.Get("Authorization"))
		return nil, errors.New("sent")
	}), base, runner.NewSecret(testToken), "mayfly/x", defaultTimeout, nil)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://evil.example/", nil)
	if _, err := w.RoundTrip(req); err == nil {
		t.Error("no error")
	}
}
