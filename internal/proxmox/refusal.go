package proxmox

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Proxmox's proxy passes on the pseudo status codes of its HTTP client (AnyEvent::HTTP).
const (
	statusNoConnect = 595 // no connection to the node or daemon: not executed
	statusBroken    = 596 // lost or timed out after connecting: unknown
)

// refusal makes an error of a reply that isn't a success.
func (c *Client) refusal(r call, resp *http.Response, body []byte) *failure {
	e := &Error{Op: r.op, Status: resp.StatusCode}
	e.Message, e.Fields = message(resp, body)
	f := &failure{err: e}
	unknown := func(hint string) {
		e.Kind, e.Hint, f.transient = Unavailable, hint, true
		if !r.reads() {
			e.Kind = MaybeHappened
			if e.Hint == "" {
				e.Hint = "look what there is before trying again"
			}
		}
	}
	switch s := resp.StatusCode; {
	case s < 400:
		e.Kind, f.unexecuted = Unavailable, true
		e.Hint = "redirects aren't followed, the token would travel along: set PROXMOX_URL to the address it names"
		if to := resp.Header.Get("Location"); to != "" {
			e.Message = shorten(e.Message + " to " + to)
		}
	case s == http.StatusBadRequest:
		e.Kind = badRequest(e.Fields)
	case s == http.StatusUnauthorized:
		e.Kind, e.Hint = Unauthorized, unauthorizedHint(e.Message)
	case s == http.StatusForbidden:
		e.Kind, e.Hint = Permission, c.permissionHint(r, e.Message)
	case s == http.StatusRequestEntityTooLarge, s == http.StatusNotImplemented, s == 506:
		e.Kind, e.Hint = BadParameter, notImplementedHint(e.Message)
	case s < 500:
		// Proxmox has no 404: this is another server, and says nothing of whether a VM is there.
		e.Kind, e.Hint = Unavailable, "that is no answer of Proxmox VE's: check PROXMOX_URL"
	case s == http.StatusInternalServerError:
		e.Kind, e.Hint = sync500(r, e.Message)
		if e.Kind == Permission {
			e.Hint = c.permissionHint(r, e.Message)
		}
		f.transient = r.method == http.MethodGet && daemonDown.MatchString(e.Message)
	case s == statusNoConnect:
		e.Kind, f.transient, f.unexecuted = Unavailable, true, true
		e.Hint = "the node or its pvedaemon is down"
	case s == statusBroken && r.exec && strings.Contains(e.Message, "Broken pipe"):
		// The agent's words for a missing program have curly quotes, over which Proxmox's status line breaks.
		unknown("a program that isn't in the guest looks like that: check that " + commandOf(r) + " is in the template")
	case s == statusBroken:
		unknown("")
	default: // 597 to 599, and what a proxy before Proxmox says of itself
		unknown("")
	}
	return f
}

// message is Proxmox's text: the body's, else (401, 595, 596, and everything before Proxmox VE 8.4) the reason
// phrase's.
func message(resp *http.Response, body []byte) (string, map[string]string) {
	var b struct {
		Message text            `json:"message"`
		Errors  json.RawMessage `json:"errors"`
	}
	_, reason, _ := strings.Cut(resp.Status, " ")
	if json.Unmarshal(body, &b) != nil {
		return oneLine(utf8Of(reason)), nil
	}
	var fields map[string]string
	var list map[string]text
	if json.Unmarshal(b.Errors, &list) == nil && len(list) > 0 {
		fields = make(map[string]string, len(list))
		for name, words := range list {
			fields[name] = oneLine(string(words))
		}
	}
	if m := oneLine(string(b.Message)); m != "" {
		return m, fields
	}
	return oneLine(utf8Of(reason)), fields
}

// utf8Of reads a reason phrase: Perl writes Latin-1 where it can.
func utf8Of(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, 0, len(s))
	for i := range len(s) {
		runes = append(runes, rune(s[i]))
	}
	return string(runes)
}

var vmidTaken = regexp.MustCompile(`^(?:VM|CT) \d+ already exists`)

func badRequest(fields map[string]string) Kind {
	switch {
	case vmidTaken.MatchString(fields["vmid"]):
		return Exists // nextid?vmid=N
	case fields["upid"] == "no such task":
		return NotFound
	}
	return BadParameter
}

func unauthorizedHint(words string) string {
	if strings.Contains(words, "No ticket") {
		return "check PROXMOX_TOKEN_ID (user@realm!name)"
	}
	return "check PROXMOX_TOKEN_ID and PROXMOX_TOKEN_SECRET; Proxmox says the same of an expired or disabled token"
}

func notImplementedHint(words string) string {
	if strings.HasPrefix(words, "Method ") {
		return "this server doesn't have the call: check PROXMOX_URL, and that it runs Proxmox VE 8.4 or later"
	}
	return ""
}

func commandOf(r call) string {
	var body struct {
		Command []string `json:"command"`
	}
	if json.Unmarshal(r.json, &body) != nil || len(body.Command) == 0 {
		return "the program"
	}
	return shorten(body.Command[0])
}

// beforeSending reports whether the error of a transport that isn't ours proves that nothing was sent.
func beforeSending(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) || tlsHint(err) != ""
}
