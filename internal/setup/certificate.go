package setup

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"mayfly/internal/config"
)

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
	w.con.say("  Compare it with the node's own: pvenode cert info on the node,")
	w.con.say("  or in its web interface: the node -> System -> Certificates.")
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
		key: path, flag: "--proxmox-fingerprint or --pin-certificate", ask: "Pin it? (yes, or the path of pve-root-ca.pem)",
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
