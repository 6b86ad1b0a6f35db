package gh

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The versions of the REST API (X-GitHub-Api-Version).
const defaultVersion = "2022-11-28"

func versions() []string { return []string{defaultVersion, "2026-03-10"} }

// rest answers a request to the REST API: who asks, may he, is there budget, the endpoint, and whether the client has
// the reply already.
func (s *Server) rest(c *call) reply {
	r, args, known := find(s.routes, c.method, c.path)
	c.args = args
	if c.header.Get("User-Agent") == "" {
		return reply{
			status: http.StatusForbidden,
			body:   []byte("\r\nRequest forbidden by administrative rules. Please make sure your request has a User-Agent header (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). Check https://developer.github.com for other possible causes.\r\n"),
		}.with("Content-Type", "text/html; charset=utf-8")
	}
	version := c.header.Get("X-GitHub-Api-Version")
	if version == "" {
		version = defaultVersion
	}
	if !slices.Contains(versions(), version) {
		return problem(http.StatusBadRequest, fmt.Sprintf("%q is not a supported version", version), "about-the-rest-api/api-versions")
	}
	if known && strings.HasPrefix(r.pattern, "/actions/") {
		return r.handle(s, c) // it has a credential of its own kind
	}
	if refusal, ok := s.authenticate(c); !ok {
		return refusal
	}
	c.token.roll(c.now)
	if (!known || !r.free) && c.token.remaining() == 0 {
		rep := problem(s.opts.RateLimitStatus, fmt.Sprintf("API rate limit exceeded for user ID %d. If you reach out to GitHub Support for help, please include the request ID and timestamp.", c.token.id),
			"using-the-rest-api/rate-limits-for-the-rest-api")
		c.token.rateHeaders(rep.header, s.world.ahead)
		return rep
	}
	rep := notFound("")
	if known {
		rep = s.endpoint(c, r)
	}
	if rep.header == nil {
		rep.header = http.Header{}
	}
	rep = c.conditional(rep)
	// A 304 costs nothing (GitHub docs, "Best practices for using the REST API", conditional requests).
	if rep.status != http.StatusNotModified && (!known || !r.free) {
		c.token.used++
	}
	c.token.rateHeaders(rep.header, s.world.ahead)
	if known && r.need != "" {
		rep.header.Set("X-Accepted-GitHub-Permissions", r.need)
	}
	rep.header.Set("X-GitHub-Media-Type", "github.v3; format=json")
	rep.header.Set("X-GitHub-Api-Version-Selected", version)
	return rep
}

// authenticate finds the token.
func (s *Server) authenticate(c *call) (reply, bool) {
	const page = "authentication/authenticating-to-the-rest-api"
	scheme, secret, ok := strings.Cut(c.header.Get("Authorization"), " ")
	switch {
	case c.header.Get("Authorization") == "":
		return problem(http.StatusUnauthorized, "Requires authentication", page), false
	case !ok || (!strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token")):
		return problem(http.StatusUnauthorized, "Bad credentials", page), false
	}
	c.token = s.world.tokens[strings.TrimSpace(secret)]
	if c.token == nil {
		return problem(http.StatusUnauthorized, "Bad credentials", page), false
	}
	return reply{}, true
}

// endpoint checks what the path names and what the token may, then calls the handler.
func (s *Server) endpoint(c *call, r route) reply {
	if owner := c.args["owner"]; owner != "" {
		c.repo = s.world.repository(owner, c.args["repo"])
		if c.repo == nil || (!c.token.sees(c.repo) && !c.repo.public) {
			return notFound(r.docs) // GitHub doesn't tell "not there" from "not for you"
		}
		if !c.token.sees(c.repo) && !strings.HasSuffix(r.need, "=read") {
			return forbidden(r)
		}
	}
	if c.args["org"] != "" {
		c.org = strings.ToLower(c.args["org"])
		if s.world.groups[c.org] == nil || !c.token.seesOrg(c.org) {
			return notFound(r.docs)
		}
	}
	if !c.token.may(r.need) && (c.repo == nil || !c.repo.public || r.need != actionsRead) {
		return forbidden(r)
	}
	return r.handle(s, c)
}

func forbidden(r route) reply {
	return problem(http.StatusForbidden, "Resource not accessible by personal access token", r.docs)
}

// conditional gives a good reply to a GET its ETag, and answers 304 when the client has it already.
func (c *call) conditional(rep reply) reply {
	if (c.method != http.MethodGet && c.method != http.MethodHead) || rep.status != http.StatusOK {
		return rep
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d\x00%s\x00", c.token.id, c.header.Get("Accept")) // ETags differ by credential
	_, _ = h.Write(rep.body)
	tag := `"` + hex.EncodeToString(h.Sum(nil)) + `"`
	rep.header.Set("ETag", "W/"+tag)
	rep.header.Set("Cache-Control", "private, max-age=60, s-maxage=60")
	rep.header.Set("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept, X-Requested-With")
	for t := range strings.SplitSeq(c.header.Get("If-None-Match"), ",") {
		t = strings.TrimSpace(t)
		if t == "*" || strings.TrimPrefix(t, "W/") == tag {
			rep.header.Del("Content-Type")
			return reply{status: http.StatusNotModified, header: rep.header}
		}
	}
	return rep
}
