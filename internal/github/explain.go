package github

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"mayfly/internal/runner"
)

const (
	maxMessage = 300

	hintToken      = "check GITHUB_TOKEN: it is expired, revoked or mistyped, or belongs to another GitHub"
	hintPermission = `give the token "Actions: read and write" and "Administration: read and write" for this repository (fine-grained), or the scope "repo" (classic)`
	hintRepository = `check the repository's name, and that the token has access to it with "Actions: read and write" and "Administration: read and write"`
	hintLook       = "look whether it took effect before doing it again"
	hintSSO        = "authorise the token for the organization's single sign-on"
	hintConnection = "check the API's address and this machine's network: DNS, proxy, firewall, certificates"
	hintMoved      = "check the API's address and the repository's name: it may have moved"
)

// explain makes the error that callers see of what a transport or go-github ended with.
func (c *Client) explain(op string, cl class, err error) *Error {
	var refused *refusalError
	var answer *replyError
	var broken *lostError
	var moved redirectError
	e := &Error{Op: op, Cause: err}
	switch {
	case errors.As(err, &refused):
		e.Kind, e.RetryAt, e.Message = RateLimited, refused.until, refused.why
		if refused.reply != nil {
			e.Status = refused.reply.status
		}
		e.Cause = refused
	case errors.As(err, &answer):
		sortReply(e, answer, cl)
		e.Cause = nil
	case errors.As(err, &moved):
		e.Kind, e.Message, e.Hint, e.Cause = Invalid, moved.Error(), hintMoved, moved
	case errors.As(err, &broken):
		e.Kind, e.Message, e.Cause = Unavailable, "no connection to "+c.wire.base.Host+": "+broken.Error(), broken.cause
		if broken.sent {
			e.Message = "no good reply from " + c.wire.base.Host + ": " + broken.Error()
		}
		if cl == mutation && broken.sent {
			e.Kind, e.Hint = MaybeHappened, hintLook
		}
		if ctx := contextOf(err); ctx != nil && !errors.Is(e.Cause, ctx) {
			e.Cause = errors.Join(e.Cause, ctx)
		}
		if !broken.sent && contextOf(broken) == nil {
			e.Hint = hintConnection
		}
	default:
		e.Kind, e.Message = Unavailable, "the reply can't be read: "+err.Error()
		if cl == mutation {
			e.Kind, e.Hint = MaybeHappened, hintLook
		}
	}
	e.Message = c.clean(e.Message)
	e.AcceptedPermissions = c.clean(e.AcceptedPermissions)
	e.Hint = c.clean(e.Hint)
	if e.Cause != nil && scrub(e.Cause.Error(), c.token) != e.Cause.Error() { // it quotes a credential
		e.Cause = errors.Join(errors.New(c.clean(e.Cause.Error())), contextOf(e.Cause))
	}
	return e
}

// sortReply reads GitHub's verdict (docs, "Troubleshooting the REST API").
func sortReply(e *Error, r *replyError, cl class) {
	e.Status, e.Message = r.status, r.message
	e.AcceptedPermissions = r.header.Get("X-Accepted-Github-Permissions")
	switch s := r.status; {
	case s == http.StatusUnauthorized:
		e.Kind, e.Hint = Unauthorized, hintToken
	case s == http.StatusForbidden, s == http.StatusUnavailableForLegalReasons:
		e.Kind, e.Hint = Permission, forbiddenHint(r)
	case s == http.StatusNotFound, s == http.StatusGone:
		e.Kind, e.Hint = NotFound, hintRepository
	case s >= http.StatusInternalServerError, s == http.StatusRequestTimeout, s < http.StatusBadRequest:
		// A 202 promises the answer for later, and other 2xx and 3xx aren't in GitHub's description of our calls.
		e.Kind = Unavailable
		if cl == mutation {
			e.Kind, e.Hint = MaybeHappened, hintLook
		}
		if wait, ok := parseRetryAfter(r.header, time.Now(), 0); ok {
			e.RetryAt = time.Now().Add(wait)
		}
	default:
		e.Kind = Invalid
	}
}

// forbiddenHint tells the reasons for a 403 apart. The header names the address of single sign-on: "required;
// url=https://github.com/orgs/…" (GitHub docs, "Authenticating to the REST API").
func forbiddenHint(r *replyError) string {
	if sso := r.header.Get("X-Github-Sso"); strings.HasPrefix(sso, "required") {
		if _, address, ok := strings.Cut(sso, "url="); ok {
			return hintSSO + ": " + address
		}
		return hintSSO
	}
	if strings.Contains(strings.ToLower(r.message), "ip allow list") {
		return "add this machine's public address to the organization's IP allow list"
	}
	return hintPermission
}

func contextOf(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// tokens is the form of GitHub's own credentials.
var tokens = regexp.MustCompile(`gh[pousr]_[A-Za-z0-9._-]{20,}|github_pat_[A-Za-z0-9_]{20,}`)

// identities is what no word and no address is: so much base64 without a break. An identity that GitHub made is nothing that
// we know yet when its reply ends in an error.
var identities = regexp.MustCompile(`[A-Za-z0-9+/=_-]{80,}`)

// scrub takes credentials out of a text of somebody else's.
func scrub(s string, token runner.Secret) string {
	s = strings.ReplaceAll(s, token.Reveal(), runner.Redacted)
	s = tokens.ReplaceAllString(s, runner.Redacted)
	return identities.ReplaceAllString(s, runner.Redacted)
}

// clean makes somebody else's text fit for an error: one line, no credentials, not too long.
func (c *Client) clean(s string) string {
	s = oneLine(scrub(s, c.token))
	if r := []rune(s); len(r) > maxMessage {
		return string(r[:maxMessage]) + "…"
	}
	return s
}

func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}
