package setup

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mayfly/internal/config"
)

// patience bounds one try to reach a server.
const patience = 15 * time.Second

// reach asks an address for something that takes a token, without one: nothing is told to a server that nobody vouches for.
// Proxmox VE refuses that with 401.
func reach(ctx context.Context, address string) (shownCertificate, error) {
	shown := shownCertificate{}
	if u, err := url.Parse(address); err == nil {
		shown.host = u.Hostname()
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // verify decides, once the certificate is here
			MinVersion:         tls.VersionTLS12,
			VerifyConnection:   func(s tls.ConnectionState) error { shown.chain = s.PeerCertificates; return nil },
		},
		DialContext: (&net.Dialer{Timeout: patience}).DialContext,
	}
	defer transport.CloseIdleConnections()
	status, err := get(ctx, transport, address+"/api2/json/version")
	if err != nil {
		return shown, fmt.Errorf("%s doesn't answer: %w; %s", address, err, wantAddress)
	}
	if status != http.StatusUnauthorized {
		return shown, fmt.Errorf("%s answers %d, which Proxmox VE wouldn't; %s", address, status, wantAddress)
	}
	return shown, nil
}

// get asks for an address and gives the status of the reply.
func get(ctx context.Context, transport http.RoundTripper, address string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, plainly(err)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16)
	return resp.StatusCode, resp.Body.Close()
}

// plainly takes Go's words around the reason away.
func plainly(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		if dns, ok := errors.AsType[*net.DNSError](op.Err); ok {
			return fmt.Errorf("the name %s isn't known (%s)", dns.Name, dns.Err)
		}
		return op.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no reply within %s", patience)
	}
	return err
}

// reachProxmox asks for the address, and how its certificate is to be told from another's.
func (w *wizard) reachProxmox(ctx context.Context) error {
	w.con.head("Proxmox VE")
	var found map[string]shownCertificate
	if s, ok := w.before["proxmox.endpoints"]; ok {
		w.before["proxmox.url"] = config.Setting{Path: "proxmox.url", Value: s.Value, Origin: s.Origin}
	}
	value, from, err := w.ask(ctx, question{
		key: "proxmox.url", flag: "--proxmox-url", ask: "Address (a host will do; several nodes with commas)",
		check: func(ctx context.Context, text string) (value string, err error) {
			value, found, err = reachAll(ctx, text)
			return value, err
		},
	})
	if err != nil {
		return err
	}
	addresses := strings.Split(value, ",")
	if len(addresses) == 1 {
		w.put("proxmox.url", value, from)
	} else {
		w.put("proxmox.endpoints", value, from)
	}
	w.con.say("  ok: %s answers", strings.Join(addresses, ", "))
	return w.trust(ctx, addresses, found)
}

// reachAll completes and tries one address or several.
func reachAll(ctx context.Context, text string) (value string, found map[string]shownCertificate, err error) {
	found = map[string]shownCertificate{}
	var list []string
	for one := range strings.SplitSeq(text, ",") {
		candidates, err := completeAddress(one)
		if err != nil {
			return "", nil, err
		}
		var shown shownCertificate
		var first error
		for _, address := range candidates {
			shown, err = reach(ctx, address)
			if err == nil {
				found[address] = shown
				if !slices.Contains(list, address) {
					list = append(list, address)
				}
				break
			}
			if first == nil {
				first = err
			}
		}
		if err != nil {
			return "", nil, first
		}
	}
	return strings.Join(list, ","), found, nil
}
