package runnerproto

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Register makes a registration the way config.sh does: with a registration token, for the repository or
// organization behind r.URL. It returns the encoded configuration. It fails as [ErrExists], [ErrUnauthorized], [ErrInvalid]
// or [ErrUnavailable].
func Register(ctx context.Context, transport http.RoundTripper, token string, r RegisterRequest) (string, error) {
	api, err := APIURL(r.URL)
	if err != nil {
		return "", err
	}
	c := NewClient(Config{}, transport)
	var out Registered
	err = exchange(ctx, &c.http, exchangeSpec{
		op: "register runner " + r.Name, method: http.MethodPost, url: api + "/actions/runner-registration",
		authorization: "RemoteAuth " + token, body: r, into: &out, timeout: callTimeout,
	})
	return out.JIT, err
}

// APIURL is the base of the REST API that belongs to the address of a repository or organization: hosts other than
// GitHub's own have it under /api/v3 (actions/runner ConfigurationManager.cs, GetTenantCredential).
func APIURL(target string) (string, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") == "" {
		return "", fmt.Errorf("runner URL %q: want https://HOST/OWNER/REPO or https://HOST/ORGANIZATION", target)
	}
	if u.Host == "github.com" {
		return "https://api.github.com", nil
	}
	return u.Scheme + "://" + u.Host + "/api/v3", nil
}
