package setup

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// defaultPort is where pveproxy listens.
const defaultPort = "8006"

// wantAddress is the accepted form.
const wantAddress = "want a host, HOST:8006 or https://HOST:8006, for example pve1.example.org"

// completeAddress makes a Proxmox address out of what people have at hand: a host, with or without port, or the URL of the API or
// of the web interface. It gives the addresses to try, in order: an https:// without a port may mean 8006 or a proxy on 443.
func completeAddress(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "", text
	}
	scheme = strings.ToLower(scheme)
	if strings.Contains(rest, "@") {
		return nil, fmt.Errorf("a user in the address; %s; the token is asked for next", wantAddress)
	}
	if ip, err := netip.ParseAddr(rest); err == nil && ip.Is6() {
		rest = "[" + rest + "]"
	}
	u, err := url.Parse("https://" + rest)
	if err != nil || u.Hostname() == "" || strings.ContainsAny(u.Hostname(), " ,;\\\"'<>") || scheme != "" && scheme != "http" && scheme != "https" {
		return nil, fmt.Errorf("that is no address; %s", wantAddress)
	}
	if path := strings.TrimSuffix(u.Path, "/"); path != "" && path != "/api2/json" && path != "/api2" {
		return nil, fmt.Errorf("%q is more than an address; %s", u.Path, wantAddress)
	}
	port := u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return nil, fmt.Errorf("port %q; want a number up to 65535, Proxmox's own is 8006", port)
	}
	// Clear text is for this machine only: Proxmox redirects after the token has travelled.
	if scheme != "http" || !isLoopback(u.Hostname()) {
		scheme = "https"
	}
	at := func(port string) string { return scheme + "://" + net.JoinHostPort(u.Hostname(), port) }
	switch {
	case port != "":
		return []string{at(port)}, nil
	case strings.HasPrefix(strings.ToLower(text), "https://"):
		return []string{at(defaultPort), at("443")}, nil
	}
	return []string{at(defaultPort)}, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}
