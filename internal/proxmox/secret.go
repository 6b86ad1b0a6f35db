package proxmox

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
)

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
			add(strings.Trim(string(js), `"`))
		}
	}
	return forms
}
