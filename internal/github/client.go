package github

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	gh "github.com/google/go-github/v88/github"

	"mayfly/internal/runner"
)

// Options say where GitHub is and how it is to be treated; only Token is required.
type Options struct {
	// BaseURL is the API's address: "" is https://api.github.com, for GitHub Enterprise Server "https://host" or
	// "https://host/api/v3".
	BaseURL string
	// Token is a personal access token, fine-grained or classic.
	Token runner.Secret
	// Logger gets a debug line per request; nil discards.
	Logger *slog.Logger
	// Transport carries the requests; nil makes one that Close empties.
	Transport http.RoundTripper
	// Wrap, if set, stands before the transport: it sees, or answers, what is really sent.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Reserve is how many requests of the hourly budget lists leave for identities, removals and look-ups of one
	// runner. 0 is 200, negative is none. Where GitHub's whole budget is no larger, half of it is kept.
	Reserve int
	// Pace is the least time between two requests that change something. 0 is the second that GitHub asks for
	// (docs, "Best practices for using the REST API"), negative is none.
	Pace time.Duration
	// Concurrency is how many lists of jobs one call of Jobs reads at once. 0 is 4; 1 makes the order of all
	// requests fixed.
	Concurrency int
	// Timeout bounds one request including its reply's body; 0 is 20 s. A call's context bounds all its requests.
	Timeout time.Duration
	// Version is Mayfly's, for the User-Agent: "mayfly/VERSION". "" is "dev".
	Version string
}

const (
	defaultBaseURL     = "https://api.github.com/"
	defaultReserve     = 200
	defaultPace        = time.Second
	defaultConcurrency = 4
	defaultTimeout     = 20 * time.Second
	// idleConnections is how long an unused connection is kept: longer than the usual poll interval, so that a
	// poll doesn't pay for a new TLS handshake.
	idleConnections = 90 * time.Second
)

// Client speaks to one GitHub with one token. It is safe for concurrent use.
type Client struct {
	gh          *gh.Client
	token       runner.Secret
	governor    *governor
	wire        *wire
	cache       *etagCache
	own         *http.Transport // nil when Options brought a transport
	concurrency int
}

// New returns a client; it sends nothing. The error names what is wrong about the options.
func New(o Options) (*Client, error) {
	base, err := baseURL(o.BaseURL)
	if err != nil {
		return nil, err
	}
	token := o.Token.Reveal()
	if token == "" {
		return nil, errors.New("github: no token; set GITHUB_TOKEN to a personal access token")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("github: the token holds white space or other characters that no token has; copy it again, without a line break")
	}
	if u := base; u.Scheme == "http" && o.Transport == nil && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("github: API address %q: the token would travel in clear; use https://", base)
	}
	c := &Client{token: o.Token, concurrency: cmp.Or(max(o.Concurrency, 0), defaultConcurrency)}
	transport := o.Transport
	if transport == nil {
		c.own = newTransport()
		transport = c.own
	}
	if o.Wrap != nil {
		transport = o.Wrap(transport)
	}
	logger := cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	c.wire = newWire(transport, base, o.Token, "mayfly/"+cmp.Or(o.Version, "dev"), cmp.Or(o.Timeout, defaultTimeout), logger)
	c.governor = newGovernor(c.wire, cmp.Or(o.Reserve, defaultReserve), cmp.Or(o.Pace, defaultPace), c.wire.skew)
	sum := sha256.Sum256([]byte(token))
	credential := hex.EncodeToString(sum[:])
	c.cache = newETagCache(c.governor, credential)
	c.gh, err = gh.NewClient(
		gh.WithHTTPClient(&http.Client{Transport: &verdict{next: &retry{next: c.cache, salt: credential, first: firstBackoff}}, CheckRedirect: stayAt(base)}),
		gh.WithURLs(new(base.String()), nil),
		gh.WithDisableRateLimitCheck(), // the governor does it: go-github forgets 304s and resources
	)
	if err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	return c, nil
}

// Close drops idle connections of the client's own transport. Calls after it still work.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// Budget is what is left of GitHub's hourly allowance, as last told.
func (c *Client) Budget() Budget {
	b := c.governor.budget()
	b.PausedWhy = c.clean(b.PausedWhy)
	return b
}

// Skew is how far GitHub's clock is ahead of this machine's, from the Date of its last reply, good to about a second;
// negative when it is behind. Runners can't get sessions when their clock is minutes off.
func (c *Client) Skew() time.Duration { return c.wire.skew() }

// baseURL completes the address of the API; it ends with a slash.
func baseURL(s string) (*url.URL, error) {
	if s == "" {
		s = defaultBaseURL
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("github: API address %q: want https://HOST or https://HOST/api/v3", redactURL(s))
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("github: API address %q: want neither user, query nor fragment in it", redactURL(s))
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if u.Path == "" && !bareAPI(u.Hostname()) {
		u.Path = "/api/v3" // GitHub Enterprise Server docs, "Getting started with the REST API"
	}
	u.Path += "/"
	return u, nil
}

// bareAPI reports whether the host has the API at its root: github.com's and those of GitHub Enterprise Cloud with data
// residency (api.SUBDOMAIN.ghe.com).
func bareAPI(host string) bool {
	host = strings.ToLower(host)
	return host == "api.github.com" || strings.HasPrefix(host, "api.") && strings.HasSuffix(host, ".ghe.com")
}

// loopback reports whether a host is this machine itself.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// redactURL leaves out what may be a secret: everything between "//" and "@".
func redactURL(s string) string {
	scheme, rest, ok := strings.Cut(s, "//")
	if i := strings.LastIndex(rest, "@"); ok && i >= 0 {
		return scheme + "//" + runner.Redacted + rest[i:]
	}
	return s
}

// stayAt refuses redirects that leave the API's host: the token would go along. GitHub redirects within its host when
// a repository was renamed.
func stayAt(base *url.URL) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		switch {
		case len(via) >= 5:
			return redirectError("redirected 5 times")
		case req.URL.Host != base.Host || req.URL.Scheme != base.Scheme:
			return redirectError(fmt.Sprintf("redirected to %s://%s, which is not the API", req.URL.Scheme, req.URL.Host))
		case req.Method != via[0].Method:
			return redirectError("redirected in a way that turns " + via[0].Method + " into " + req.Method)
		}
		return nil
	}
}

// redirectError is a redirect that isn't followed.
type redirectError string

func (a redirectError) Error() string { return string(a) }

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: defaultConcurrency,
		IdleConnTimeout:     idleConnections,
		TLSHandshakeTimeout: 10 * time.Second,
	}
}

// Format prints the client as its API's address: fmt would print unexported fields, and so the token, as they are.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "github client of %s", c.wire.base)
}
