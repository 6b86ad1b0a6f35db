package proxmox

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// keys are the client's own secrets. [Client.Format] keeps them from being printed with the client. (A runner.Secret in an
// unexported field would show: fmt can't call its methods.)
type keys struct {
	auth  string   // the Authorization header
	forms []string // the secret, in every form that a server might repeat
}

// shortestSecret keeps a stdin of a few letters from blackening every message.
const shortestSecret = 6

// secretForms are the ways in which a server may repeat a secret: as it is, a line of it, as JSON, in a URL, in base64.
func secretForms(s string) []string {
	var forms []string
	add := func(f string) {
		if len(f) >= shortestSecret {
			forms = append(forms, f)
		}
	}
	for _, raw := range append([]string{s, strings.TrimSpace(s)}, strings.Split(s, "\n")...) {
		if len(strings.TrimSpace(raw)) < shortestSecret {
			continue
		}
		add(raw)
		add(url.QueryEscape(raw))
		add(base64.StdEncoding.EncodeToString([]byte(raw)))
		if js, err := json.Marshal(raw); err == nil {
			add(string(js[1 : len(js)-1]))
		}
		quoted := strconv.Quote(raw)
		add(quoted[1 : len(quoted)-1])
	}
	return forms
}
