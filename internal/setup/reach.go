package setup

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"mayfly/internal/config"
)

// patience bounds one try to reach a server.
const patience = 15 * time.Second

// shownCertificate is what a server shows of itself; chain is empty over clear text.
type shownCertificate struct {
	host  string
	chain []*x509.Certificate
}

// fingerprint is that of the server's own certificate, "AA:BB:…".
func (s shownCertificate) fingerprint() string {
	sum := sha256.Sum256(s.chain[0].Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// verify looks whether roots vouch for it; nil are the system's.
func (s shownCertificate) verify(roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range s.chain[1:] {
		between.AddCert(c)
	}
	_, err := s.chain[0].Verify(x509.VerifyOptions{DNSName: s.host, Roots: roots, Intermediates: between})
	return err
}

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

// trust finds what vouches for the certificates: the system's authorities, a CA file or a pin.
func (w *wizard) trust(ctx context.Context, addresses []string, found map[string]shownCertificate) error {
	_, _, pinned := w.answer("proxmox.fingerprint")
	_, before := w.before["proxmox.fingerprint"]
	var unknown []string
	for _, a := range addresses {
		if shown := found[a]; len(shown.chain) > 0 && (pinned || before || shown.verify(nil) != nil) {
			unknown = append(unknown, a)
		}
	}
	if _, _, ca := w.answer("proxmox.ca_file"); ca || w.before["proxmox.ca_file"].Value != "" {
		return w.trustFile(ctx, addresses, found)
	}
	if len(unknown) == 0 {
		if len(found[addresses[0]].chain) > 0 {
			w.con.say("  ok: this system's authorities vouch for the certificate")
		}
		return nil
	}
	return w.pin(ctx, unknown, found)
}

// pin offers to pin the certificates that nothing vouches for.
func (w *wizard) pin(ctx context.Context, unknown []string, found map[string]shownCertificate) error {
	var pins []string
	for _, a := range unknown {
		shown := found[a]
		if shown.verify(nil) != nil {
			w.con.say("  Nothing on this system vouches for the certificate of %s:", a)
		} else {
			w.con.say("  The certificate of %s:", a)
		}
		w.con.say("    SHA-256 %s", shown.fingerprint())
		w.con.say("    made out to %s by %s, until %s", name(shown.chain[0].Subject.CommonName), name(shown.chain[0].Issuer.CommonName), shown.chain[0].NotAfter.Format(time.DateOnly))
		if !slices.Contains(pins, shown.fingerprint()) {
			pins = append(pins, shown.fingerprint())
		}
	}
	w.con.say("  Compare it with the node's own: pvenode cert info (there), or node -> System -> Certificates.")
	observed := strings.Join(pins, ",")
	const path = "proxmox.fingerprint"
	_, given := w.given[path]
	unchecked, ok := w.given["proxmox.verify_tls"] // whoever wanted no check at all gets a better one
	if !given && (w.o.PinCertificate || w.o.Yes && ok && unchecked.Value == "false") {
		from := "--pin-certificate"
		if !w.o.PinCertificate {
			from = from0(unchecked.Origin) + "=false"
		}
		w.con.say("  Pinned (%s).", from)
		w.put(path, observed, "what the server showed; "+from)
		return nil
	}
	if b, ok := w.before[path]; ok && !given && !allIn(pins, b.Value) {
		w.con.say("  It isn't the one that %s pins.", base(w.o.File))
		delete(w.before, path)
	}
	value, from, err := w.ask(ctx, question{
		key: path, flag: "--proxmox-fingerprint or --pin-certificate", ask: "Pin it? (yes, or the path of the CA's file, pve-root-ca.pem)",
		check: func(_ context.Context, text string) (string, error) {
			switch {
			case slices.Contains([]string{"y", "yes"}, strings.ToLower(text)):
				return observed, nil
			case slices.Contains([]string{"n", "no"}, strings.ToLower(text)):
				return "", errors.New("then anybody in between could read the token; want yes, or the path of a CA file that vouches for it")
			case config.CheckValue(path, text) == nil:
				if !allIn(pins, text) {
					return "", errors.New("that is another certificate's fingerprint; somebody may be in between, or it was renewed")
				}
				return text, nil
			}
			return text, checkFile(text, found)
		},
	})
	switch {
	case err != nil:
		return err
	case config.CheckValue(path, value) == nil:
		w.put(path, value, from)
	default:
		return w.putFile(value, from)
	}
	return nil
}

// trustFile tries the CA file that was named.
func (w *wizard) trustFile(ctx context.Context, addresses []string, found map[string]shownCertificate) error {
	value, from, err := w.ask(ctx, question{
		key: "proxmox.ca_file", flag: "--proxmox-ca-file", ask: "The CA's file (pve-root-ca.pem)",
		check: func(_ context.Context, text string) (string, error) {
			shown := map[string]shownCertificate{}
			for _, a := range addresses {
				shown[a] = found[a]
			}
			return text, checkFile(text, shown)
		},
	})
	if err != nil {
		return err
	}
	return w.putFile(value, from)
}

func (w *wizard) putFile(path, from string) error {
	path, err := absolute(path)
	if err == nil {
		w.put("proxmox.ca_file", path, from)
		w.con.say("  ok: %s vouches for the certificate", path)
	}
	return err
}

// checkFile looks whether a CA file vouches for all certificates.
func checkFile(path string, found map[string]shownCertificate) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("that is no file that can be read (%w); want a PEM file, /etc/pve/pve-root-ca.pem of any node", withoutPath(err, path))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return errors.New("no certificate is in that file; want a PEM file, /etc/pve/pve-root-ca.pem of any node")
	}
	for address, shown := range found {
		if len(shown.chain) == 0 {
			continue
		}
		if err := shown.verify(roots); err != nil {
			return fmt.Errorf("that file doesn't vouch for the certificate of %s: %w; want the one of this cluster, or a name in the address that the certificate is made out to", address, err)
		}
	}
	return nil
}

// allIn reports whether a list of pins names all of these.
func allIn(pins []string, list string) bool {
	plain := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, ":", "")) }
	return !slices.ContainsFunc(pins, func(p string) bool { return !strings.Contains(plain(list), plain(p)) })
}

// name is a name out of a certificate, fit to be shown.
func name(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "nobody"
	}
	return s
}
