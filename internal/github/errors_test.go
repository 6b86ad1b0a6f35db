package github

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/runner"
)

// operations are all calls of the client.
func operations() map[string]func(context.Context, *Client) error {
	return map[string]func(context.Context, *Client) error{
		"Jobs":         func(ctx context.Context, c *Client) error { _, err := c.Jobs(ctx, octo); return err },
		"Runners":      func(ctx context.Context, c *Client) error { _, err := c.Runners(ctx, octo); return err },
		"Runner":       func(ctx context.Context, c *Client) error { _, err := c.Runner(ctx, octo, 1); return err },
		"RunnerByName": func(ctx context.Context, c *Client) error { _, err := c.RunnerByName(ctx, octo, "r"); return err },
		"Repository":   func(ctx context.Context, c *Client) error { _, err := c.Repository(ctx, octo); return err },
		"CreateJITConfig": func(ctx context.Context, c *Client) error {
			_, err := c.CreateJITConfig(ctx, octo, "r", []string{"self-hosted"}, 1)
			return err
		},
		"CreateRegistrationToken": func(ctx context.Context, c *Client) error {
			_, err := c.CreateRegistrationToken(ctx, octo)
			return err
		},
		"RemoveRunner": func(ctx context.Context, c *Client) error { return c.RemoveRunner(ctx, octo, 1) },
	}
}

func changes(op string) bool {
	return strings.HasPrefix(op, "Create") || strings.HasPrefix(op, "Remove")
}

func TestGitHubsRepliesBecomeKinds(t *testing.T) {
	cases := []struct {
		name   string
		status int
		body   string
		header http.Header
		read   Kind // of a GET
		change Kind // of a POST or DELETE
		words  []string
	}{
		{"bad credentials", 401, `{"message":"Bad credentials"}`, nil, Unauthorized, Unauthorized, []string{"401", "Bad credentials", "expired"}},
		{
			"no permission", 403, `{"message":"Resource not accessible by personal access token"}`,
			http.Header{"X-Accepted-Github-Permissions": {"administration=write"}},
			Permission, Permission,
			[]string{"Resource not accessible", "needs administration=write", `"Administration: read and write"`},
		},
		{
			"single sign-on", 403, `{"message":"Resource protected by organization SAML enforcement."}`,
			http.Header{"X-Github-Sso": {"required; url=https://github.com/orgs/octo-org/sso?authorization_request=A"}},
			Permission, Permission,
			[]string{"authorise the token", "https://github.com/orgs/octo-org/sso"},
		},
		{
			"IP allow list", 403, `{"message":"Although you appear to have the correct authorization credentials, the organization has an IP allow list enabled"}`, nil,
			Permission, Permission,
			[]string{"this machine's public address"},
		},
		{
			"last request of the hour, no permission", 403, `{"message":"Must have admin rights to Repository."}`, rateHeaders("5000", "0", "1795521600", "core"),
			Permission, Permission,
			[]string{"admin rights"},
		},
		{"blocked", 451, `{"message":"Repository access blocked"}`, nil, Permission, Permission, []string{"blocked"}},
		{"malformed", 400, `{"message":"Problems parsing JSON"}`, nil, Invalid, Invalid, []string{"Problems parsing JSON"}},
		{"moved away", 301, `{"message":"Moved Permanently"}`, http.Header{"Location": {"https://elsewhere.example/x"}}, Invalid, Invalid, []string{"elsewhere.example", "moved"}},
		{"server error", 500, `{"message":"Server Error"}`, nil, Unavailable, MaybeHappened, []string{"500"}},
		{"bad gateway", 502, `<html>`, nil, Unavailable, MaybeHappened, []string{"502"}},
		{"unavailable", 503, ``, http.Header{"Retry-After": {"7"}}, Unavailable, MaybeHappened, []string{"503", "next try at"}},
		{"request timeout", 408, ``, nil, Unavailable, MaybeHappened, []string{"408"}},
		{"accepted for later", 202, `{}`, nil, Unavailable, MaybeHappened, []string{"202"}},
		{"not JSON", 200, `<html>`, nil, Unavailable, MaybeHappened, nil},
		{"empty", 200, ``, nil, Unavailable, MaybeHappened, nil},
		{"null", 200, `null`, nil, Unavailable, MaybeHappened, nil},
	}
	for _, tc := range cases {
		for op, call := range operations() {
			t.Run(tc.name+"/"+op, func(t *testing.T) {
				t.Parallel()
				c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					for k, v := range tc.header {
						w.Header()[k] = v
					}
					w.WriteHeader(tc.status)
					_, _ = io.WriteString(w, tc.body)
				}))
				err := call(t.Context(), c)
				want := tc.read
				if changes(op) {
					want = tc.change
				}
				var e *Error
				if !errors.As(err, &e) || !errors.Is(err, want) {
					t.Fatalf("want %v: %v", want, err)
				}
				if e.Op == "" || e.Status != tc.status {
					t.Errorf("%+v", *e)
				}
				for _, w := range tc.words {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("%q doesn't say %q", err, w)
					}
				}
				if want == MaybeHappened && e.Hint == "" {
					t.Error("no hint what to do about it")
				}
				tidy(t, err)
			})
		}
	}
}

// tidy checks what holds of every error.
func tidy(t *testing.T, err error) {
	t.Helper()
	s := err.Error()
	for _, secret := range []string{testToken, testJIT} {
		if strings.Contains(s, secret) || strings.Contains(fmt.Sprintf("%+v %#v", err, err), secret) {
			t.Errorf("a secret in %q", s)
		}
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			if strings.Contains(cause.Error(), secret) {
				t.Errorf("a secret in the cause %q", cause)
			}
		}
	}
	if strings.ContainsAny(s, "\n\r\t") || strings.Contains(s, "  ") || strings.HasSuffix(s, ": ") || strings.Contains(s, "failed to") {
		t.Errorf("not one tidy line: %q", s)
	}
}

func TestMissingRepositoryIsNotFoundForListsAndPermissionForOneRunner(t *testing.T) {
	want := map[string]Kind{
		"Jobs": NotFound, "Runners": NotFound, "Repository": NotFound, "CreateJITConfig": NotFound, "CreateRegistrationToken": NotFound,
		"Runner": Permission, "RunnerByName": Permission, "RemoveRunner": Permission, // "gone" would be a false report
	}
	for op, call := range operations() {
		t.Run(op, func(t *testing.T) {
			c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				say(w, http.StatusNotFound, object{"message": "Not Found"})
			}))
			err := call(t.Context(), c)
			if !errors.Is(err, want[op]) || !strings.Contains(err.Error(), "check the repository's name") {
				t.Errorf("want %v: %v", want[op], err)
			}
		})
	}
}

func TestLostConnectionMayHaveHappenedOnlyOnceSent(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	cases := map[string]struct {
		err    error
		change Kind
	}{
		"refused":         {refused, Unavailable},
		"unknown host":    {&net.DNSError{Err: "no such host", Name: "api.github.com", IsNotFound: true}, Unavailable},
		"reset":           {&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, MaybeHappened},
		"broken pipe":     {&net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}, MaybeHappened},
		"closed":          {io.EOF, MaybeHappened},
		"quotes a secret": {errors.New("proxy said: Authorization: Bearer " + testToken), MaybeHappened},
	}
	for name, tc := range cases {
		for op, call := range operations() {
			t.Run(name+"/"+op, func(t *testing.T) {
				n := 0
				c := newClient(t, nil, func(o *Options) {
					o.Transport = roundTrip(func(*http.Request) (*http.Response, error) { n++; return nil, tc.err })
				})
				err := call(t.Context(), c)
				want, tries := Unavailable, 1+retries
				if changes(op) {
					want, tries = tc.change, 1
				}
				if !errors.Is(err, want) || n != tries {
					t.Errorf("%d tries, want %d; want %v: %v", n, tries, want, err)
				}
				if name != "quotes a secret" && !errors.Is(err, tc.err) {
					t.Errorf("the cause is lost: %v", err)
				}
				tidy(t, err)
			})
		}
	}
}

func TestPostWhoseReplyIsLostIsSentOnce(t *testing.T) {
	var posts atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := posts.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if n == 2 { // half a reply
			_, _ = io.WriteString(conn, "HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{\"encoded_jit_config\":\""+testJIT)
		}
		_ = conn.Close()
	}))
	defer srv.Close()
	c, err := New(Options{BaseURL: srv.URL, Token: runner.NewSecret(testToken), Pace: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 2 {
		_, err = c.CreateJITConfig(t.Context(), octo, "r", []string{"x"}, 1)
		if !errors.Is(err, MaybeHappened) || posts.Load() != int64(i+1) {
			t.Errorf("%d posts, %v", posts.Load(), err)
		}
		tidy(t, err)
	}
}

func TestNoConnectionMeansNothingHappened(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	closed := plain.URL
	plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	defer secure.Close()
	for name, address := range map[string]string{"refused": closed, "unknown certificate": secure.URL} {
		c, err := New(Options{BaseURL: address, Token: runner.NewSecret(testToken), Pace: -1})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.CreateJITConfig(t.Context(), octo, "r", []string{"x"}, 1)
		if !errors.Is(err, Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		var unknown *tls.CertificateVerificationError
		if name == "unknown certificate" && (!errors.As(err, &unknown) || !strings.Contains(err.Error(), "certificates")) {
			t.Errorf("%v", err)
		}
		c.Close()
	}
}

func TestDeadlineEndsEveryCall(t *testing.T) {
	for op, call := range operations() {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, nil, func(o *Options) {
					o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
						<-r.Context().Done()
						return nil, r.Context().Err()
					})
				})
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				start := time.Now()
				err := call(ctx, c)
				want := Unavailable
				if changes(op) {
					want = MaybeHappened
				}
				if !errors.Is(err, want) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 7*time.Second {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				if err := call(ctx, c); !errors.Is(err, Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("with no time left nothing is sent: %v", err)
				}
			})
		})
	}
}

func TestServerThatHangsIsGivenUpWithoutADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, nil, func(o *Options) {
			o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		})
		start := time.Now()
		err := c.RemoveRunner(context.WithoutCancel(t.Context()), octo, 1)
		if !errors.Is(err, MaybeHappened) || time.Since(start) != defaultTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestGetsAreRepeatedTwiceWithGrowingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.addRunner(1, "r", "online", false)
		bad := 2
		var at []time.Time
		f.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			at = append(at, time.Now())
			if bad == 0 {
				return false
			}
			bad--
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		c := newClient(t, f)
		c.gh.Client().Transport.(*verdict).next.(*retry).first = firstBackoff
		if got, err := c.Runners(t.Context(), octo); err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		first, second := at[1].Sub(at[0]), at[2].Sub(at[1])
		if first < firstBackoff/2 || first > firstBackoff || second < 2*firstBackoff || second > 4*firstBackoff {
			t.Errorf("waits of %v and %v", first, second)
		}
		bad = 3
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := c.Runners(ctx, octo); !errors.Is(err, Unavailable) || time.Since(start) != 0 {
			t.Errorf("a wait beyond the deadline isn't begun: %v after %v", err, time.Since(start))
		}
	})
}

func TestSecretsStayOutOfErrorsAndLogs(t *testing.T) {
	var log bytes.Buffer
	other := "ghp_" + strings.Repeat("x", 36)
	for op, call := range operations() {
		for _, status := range []int{200, 201, 400, 401, 403, 404, 409, 422, 429, 500} {
			c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Accepted-Github-Permissions", r.Header.Get("Authorization"))
				say(w, status, object{"message": "you sent " + r.Header.Get("Authorization") + "\n and " + other, "encoded_jit_config": testJIT, "token": testJIT})
			}), func(o *Options) {
				o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			err := call(t.Context(), c)
			if err == nil {
				t.Errorf("%s %d: no error", op, status)
				continue
			}
			tidy(t, err)
			if strings.Contains(err.Error(), other) {
				t.Errorf("somebody's token in %q", err)
			}
			if strings.Contains(fmt.Sprintf("%+v %#v", c, c), testToken) || strings.Contains(c.Budget().PausedWhy, testToken) {
				t.Error("the client shows its token")
			}
		}
	}
	for _, secret := range []string{testToken, testJIT, other} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s in the log", secret)
		}
	}
	for _, key := range []string{"method=POST", "path=/repos/octo-org/octo-repo/actions/runners/generate-jitconfig", "status=500", "took=", "remaining="} {
		if !strings.Contains(log.String(), key) {
			t.Errorf("no %s in the log", key)
		}
	}
}

func TestAnIdentityInAMessageIsNotShown(t *testing.T) {
	identity := strings.Repeat("eyIucnVubmVyIjoi/+", 12) + "=="
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusInternalServerError, object{"message": "can't store " + identity + ", see https://docs.github.com/rest/actions/self-hosted-runners"})
	}))
	_, err := c.CreateJITConfig(t.Context(), octo, "r-1", []string{"x"}, 1)
	if err == nil || strings.Contains(err.Error(), "eyIucnVubmVy") || !strings.Contains(err.Error(), "self-hosted-runners") {
		t.Errorf("%v; want the message without the identity", err)
	}
}

func TestKindsAreErrorsOfTheirOwn(t *testing.T) {
	kinds := []Kind{NotFound, Busy, Exists, RateLimited, Unauthorized, Permission, Invalid, Unavailable, MaybeHappened}
	words := map[string]bool{}
	for _, k := range kinds {
		words[k.Error()] = true
		err := fmt.Errorf("wrapped: %w", &Error{Kind: k, Op: "try", Cause: io.EOF})
		for _, other := range kinds {
			if errors.Is(err, other) != (k == other) {
				t.Errorf("%v is %v", err, other)
			}
		}
		if !errors.Is(err, io.EOF) || !strings.HasPrefix(err.Error(), "wrapped: try: ") {
			t.Errorf("%v", err)
		}
	}
	if len(words) != len(kinds) || words[Kind(0).Error()] {
		t.Errorf("kinds that read alike: %v", words)
	}
}
