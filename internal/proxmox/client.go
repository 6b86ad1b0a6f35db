package proxmox

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// Options are what a [Client] needs.
type Options struct {
	// Endpoints are the nodes' addresses, "https://pve1:8006", with or without /api2/json. Several are one cluster:
	// when one doesn't answer the next does. http:// is for loopback only.
	Endpoints []string
	// TokenID is "user@realm!name".
	TokenID string
	// TokenSecret is the token's secret, a UUID.
	TokenSecret runner.Secret
	// Fingerprint pins the servers' certificates: SHA-256 as "AA:BB:…", several separated by commas, and then
	// nothing else is checked. CAFile names a PEM file of the roots to trust instead of the system's.
	// InsecureSkipVerify trusts everybody, unless one of the two is set.
	CAFile, Fingerprint string
	InsecureSkipVerify  bool
	// Check is the command that tells what the token lacks, for hints; "" is "mayfly check".
	Check string
	// Logger gets each request at debug and fail-over at warn; nil discards.
	Logger *slog.Logger
	// Transport replaces the client's own, TLS options and connection handling with it.
	Transport http.RoundTripper
	// Wrap, if set, stands before the transport: it shows, or answers, what would be sent.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Client speaks to one cluster. It is safe for concurrent use, starts no goroutine of its own, and has at most three
// calls in flight to each node.
type Client struct {
	ends      *endpoints
	transport http.RoundTripper
	own       *http.Transport // nil when Options brought a transport
	keys      *keys
	gate      *gate
	log       *slog.Logger
	clock     *clock
	guests    *guestPools

	user, tokenName, check string // the token's, and what tells what it lacks: for hints

	firstPause time.Duration // before a read is sent again; tests shorten it
}

// tokenForm is Proxmox's: user@realm!name (pve-access-control AccessControl.pm, token_full_regex, a little wider).
var tokenForm = regexp.MustCompile(`^[^\s:/@!=]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+$`)

// New checks the options and returns a client. It connects to nothing.
func New(o Options) (*Client, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("proxmox endpoint: none given; want https://host:8006")
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ends := &endpoints{log: log}
	for i, s := range o.Endpoints {
		p, err := parseEndpoint(s)
		if err != nil {
			return nil, fmt.Errorf("proxmox endpoint %d: %w", i+1, err)
		}
		ends.list = append(ends.list, p)
	}
	if !tokenForm.MatchString(o.TokenID) {
		return nil, fmt.Errorf("proxmox token id %q: want user@realm!name, for example ci@pve!mayfly", o.TokenID)
	}
	secret := o.TokenSecret.Reveal()
	if secret == "" || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, errors.New("proxmox token secret: empty or with blanks in it; want the UUID that Proxmox showed once")
	}
	c := &Client{
		ends: ends, transport: o.Transport, gate: newGate(), log: log, clock: new(clock), guests: &guestPools{of: map[int]string{}}, firstPause: firstPause,
		keys: &keys{auth: "PVEAPIToken=" + o.TokenID + "=" + secret, forms: secretForms(secret)},
	}
	c.user, c.tokenName, _ = strings.Cut(o.TokenID, "!")
	c.check = cmp.Or(o.Check, "mayfly check")
	if c.transport != nil {
		return c.wrapped(o), nil
	}
	tlsCfg, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	only1 := new(http.Protocols)
	only1.SetHTTP1(true) // pveproxy speaks nothing newer
	c.own = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     tlsCfg,
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     idleTimeout,
		MaxIdleConnsPerHost: 4,    // callsPerNode, and one for what is cluster-wide
		DisableCompression:  true, // pveproxy would compress in its single thread
		Protocols:           only1,
	}
	c.transport = c.own
	return c.wrapped(o), nil
}

func (c *Client) wrapped(o Options) *Client {
	if o.Wrap != nil {
		c.transport = o.Wrap(c.transport)
	}
	return c
}

// Format prints the client as where it speaks to, whatever the verb: with one that doesn't fit a struct (%q, %x) fmt
// follows pointers after all, and would print the token.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "proxmox client of %d endpoints", len(c.ends.list))
}

// Close closes idle connections. Calls that are under way go on.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}
