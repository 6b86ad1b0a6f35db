package proxmox_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"mayfly/internal/proxmox"
)

// TestSecretsShowNowhere plants the token and an identity and lets servers repeat them in every way.
func TestSecretsShowNowhere(t *testing.T) {
	const identity = "eyJhZ2VudCI6+cHJpdmF0ZS9rZXk=\"<&>"
	forms := []string{planted, identity}
	for _, s := range []string{planted, identity} {
		forms = append(forms, url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s)),
			base64.StdEncoding.EncodeToString([]byte(s+"\n")), fmt.Sprintf("%q", s))
	}
	echo := "got " + strings.Join(forms, " and ")
	body := fmt.Sprintf(`{"data":null,"message":%q,"errors":{"input-data":%q}}`, echo, echo)
	line := strings.ReplaceAll(echo, "\n", " ")
	answers := map[string][]byte{
		"refusal":     reply("400 Parameter verification failed.", body),
		"reason":      bare("500 " + line),
		"permission":  bare("403 " + line),
		"redirect":    []byte("HTTP/1.1 301 Moved\r\nLocation: https://x/?" + url.QueryEscape(line) + "\r\nContent-Length: 0\r\n\r\n"),
		"success":     reply("200 OK", `{"data":{"pid":"`+"x"+`"}}`),
		"not HTTP":    []byte(line + "\r\n\r\n"),
		"bad header":  []byte("HTTP/1.1 200 OK\r\n" + line + "\r\n\r\n"),
		"no reply":    nil,
		"a page":      reply("502 Bad Gateway", "<html>"+line),
		"odd content": reply("200 OK", line),
		"odd task":    reply("200 OK", fmt.Sprintf(`{"data":%q}`, line)),
	}
	for name, answer := range answers {
		var log lockedBuffer
		w := newWire(t, false, always(answer))
		c := newClient(t, func(o *proxmox.Options) { o.Logger = logTo(&log) }, w.URL, w.URL)
		var shown strings.Builder
		_, exec := c.AgentExec(t.Context(), "pve1", 201, []string{"/opt/run"}, []byte(identity+"\n"))
		_, read := c.AgentFileRead(t.Context(), "pve1", 201, "/etc/private-path")
		_, start := c.Start(t.Context(), "pve1", 201)
		set := c.SetConfig(t.Context(), "pve1", 201, map[string]string{"description": "private-value"}, nil, "")
		for i, err := range []error{exec, read, start, set} {
			secrets := forms
			if i > 0 { // these calls know nothing of the identity: a server can't repeat it
				secrets = forms[:1]
			}
			var all strings.Builder
			for e := err; e != nil; e = errors.Unwrap(e) {
				fmt.Fprintf(&all, "%v %+v %q\n", e, e, e)
			}
			var pe *proxmox.Error
			if errors.As(err, &pe) {
				fmt.Fprint(&all, pe.Message, pe.Hint, pe.Op, pe.Fields)
			}
			for _, s := range secrets {
				if strings.Contains(all.String(), s) {
					t.Errorf("%s: %q shows in %s", name, s, all.String())
				}
			}
			shown.WriteString(all.String())
		}
		for _, s := range append(forms, "private-value", "private-path") {
			if strings.Contains(log.String(), s) {
				t.Errorf("%s: %q shows in the log:\n%s", name, s, log.String())
			}
		}
		if !strings.Contains(log.String(), "path=/nodes/pve1/qemu/201/agent/exec") || !strings.Contains(log.String(), "took=") {
			t.Errorf("%s: requests aren't logged:\n%s", name, log.String())
		}
		if strings.Contains(shown.String(), "private-value") {
			t.Errorf("%s: a config value shows in an error:\n%s", name, shown.String())
		}
	}
	c := newClient(t, nil, "https://pve1:8006")
	if shown := fmt.Sprintf("%v %+v %#v %q %x %d %#v", c, c, c, c, c, c, *c); strings.Contains(shown, planted) {
		t.Errorf("the client prints its token: %s", shown)
	}
}
