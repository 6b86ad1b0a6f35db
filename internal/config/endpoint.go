package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/runner"
)

// completeEndpoints makes proxmox.endpoints, cleaned, out of whichever of url and endpoints was set in the strongest
// place.
func (l *loader) completeEndpoints() {
	const urlPath, listPath = "proxmox.url", "proxmox.endpoints"
	p := &l.file.Proxmox
	single, singleGiven := l.origins[urlPath]
	several, severalGiven := l.origins[listPath]
	if singleGiven && severalGiven && single.strength() == several.strength() {
		l.problem(several, listPath, "set beside "+urlPath, "want one of the two")
		return
	}
	path, texts, from := listPath, p.Endpoints, several
	if singleGiven {
		path, texts, from = urlPath, []string{p.URL}, single
		if single.Kind != FromFile { // a variable can name several
			texts = strings.Split(p.URL, ",")
		}
	}
	if l.bad(path) {
		return
	}
	if !singleGiven && !severalGiven {
		f, _ := formOf("url")
		l.missing(urlPath, "PROXMOX_URL", f.want)
		return
	}
	var clean []string
	for i, text := range texts {
		at, origin := path, from
		if path == listPath {
			at = index(listPath, i)
			origin = l.origins[at]
		}
		if endpoint, ok := l.proxmoxURL(at, strings.TrimSpace(text), origin); ok {
			if slices.Contains(clean, endpoint) {
				l.warn(origin, at, endpoint+" is named twice")
				continue
			}
			clean = append(clean, endpoint)
		}
	}
	if len(texts) == 0 {
		l.problem(from, listPath, "an empty list", "want at least one address, for example https://pve1.example.org:8006")
	}
	p.URL, p.Endpoints = "", clean
	l.origins[listPath] = from
	delete(l.origins, urlPath)
}

// proxmoxURL cleans one address of the Proxmox API: https://HOST:PORT without a path.
func (l *loader) proxmoxURL(path, text string, from Origin) (string, bool) {
	f, _ := formOf("url")
	u, ok := l.parseURL(path, text, from, f)
	if !ok {
		return "", false
	}
	// Proxmox redirects http to https only after the request, and the token in it, has travelled in clear.
	l.secure(u, path, from)
	u.Path = ""
	if u.Port() == "" {
		l.warn(from, path, fmt.Sprintf("%s names no port; Proxmox itself listens on 8006", u))
	}
	return u.String(), true
}

// parseURL checks an address against a form, without showing what may be a password in it.
func (l *loader) parseURL(path, text string, from Origin, f form) (*url.URL, bool) {
	u, err := url.Parse(text)
	switch {
	case strings.Contains(text, "@"):
		l.problem(from, path, "an address with a user in it", f.want)
	case err != nil || !f.matches(text) || u.Hostname() == "" || !validPort(u.Port()):
		l.problem(from, path, fmt.Sprintf("%q is not such an address", withoutQuery(text)), f.want)
	default:
		return u, true
	}
	return nil, false
}

// withoutQuery leaves out what people put behind an address that is none of ours: tokens, too.
func withoutQuery(address string) string {
	if i := strings.IndexAny(address, "?#"); i >= 0 {
		return address[:i+1] + runner.Redacted
	}
	return address
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// secure turns http into https unless the host is this machine, and says so.
func (l *loader) secure(u *url.URL, path string, from Origin) {
	if u.Scheme != "http" || isLoopback(u.Hostname()) {
		return
	}
	was := u.String()
	u.Scheme = "https"
	l.warn(from, path, fmt.Sprintf("%s would send the token in clear; %s is used: write it so", was, u.String()))
}

// isLoopback reports whether the host is this machine for certain: no name but localhost is looked up.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// completeAPIURL cleans github.api_url.
func (l *loader) completeAPIURL() {
	const path = "github.api_url"
	if l.bad(path) {
		return
	}
	f, _ := formOf("api_url")
	from := l.origins[path]
	u, ok := l.parseURL(path, strings.TrimRight(l.file.GitHub.APIURL, "/"), from, f)
	if !ok {
		return
	}
	l.secure(u, path, from)
	l.file.GitHub.APIURL = u.String()
}
