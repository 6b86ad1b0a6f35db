package proxmox

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
)

// tlsConfig verifies servers by pin where there is one, else by CA file, else by the system's roots.
func tlsConfig(o Options) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	switch {
	case strings.TrimSpace(o.Fingerprint) != "":
		pins, err := parsePins(o.Fingerprint)
		if err != nil {
			return nil, err
		}
		// Names and dates don't count any more: the pin is the certificate.
		cfg.InsecureSkipVerify = true
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(s, pins) }
	case o.CAFile != "":
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read proxmox CA file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read proxmox CA file %s: no certificate in it; want PEM, as in /etc/pve/pve-root-ca.pem", o.CAFile)
		}
	case o.InsecureSkipVerify:
		cfg.InsecureSkipVerify = true
	}
	return cfg, nil
}

// parsePins reads one or more SHA-256 fingerprints, "AA:BB:…", separated by commas.
func parsePins(s string) ([]string, error) {
	var pins []string
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		sum, err := hex.DecodeString(strings.ReplaceAll(part, ":", ""))
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("proxmox fingerprint %q: want the 32 bytes of a SHA-256 as AA:BB:…", part)
		}
		pins = append(pins, colons(sum))
	}
	if len(pins) == 0 {
		return nil, errors.New("proxmox fingerprint: none in it; want the 32 bytes of a SHA-256 as AA:BB:…")
	}
	return pins, nil
}

func colons(sum []byte) string {
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return colons(sum[:])
}

// pinError says that a server showed another certificate than the pinned ones.
type pinError struct{ observed string }

func (e *pinError) Error() string {
	return "the server's certificate has fingerprint " + e.observed + ", which isn't pinned"
}

func checkPin(s tls.ConnectionState, pins []string) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server shows no certificate")
	}
	if observed := fingerprint(s.PeerCertificates[0]); !slices.Contains(pins, observed) {
		return &pinError{observed}
	}
	return nil
}

// tlsHint tells how to trust a server whose certificate was refused; "" when err is about something else.
func tlsHint(err error) string {
	var pin *pinError
	if errors.As(err, &pin) {
		return "if its certificate was renewed on purpose, set PROXMOX_FINGERPRINT=" + pin.observed
	}
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) && len(bad.UnverifiedCertificates) > 0 {
		return "set PROXMOX_CA_FILE to the cluster's pve-root-ca.pem, or after comparing it with the node's own, PROXMOX_FINGERPRINT=" +
			fingerprint(bad.UnverifiedCertificates[0])
	}
	return ""
}

// ObservedFingerprint connects to an endpoint without trusting or telling it anything and returns the SHA-256 of the
// certificate it shows, "AA:BB:…".
func ObservedFingerprint(ctx context.Context, address string) (string, error) {
	p, err := parseEndpoint(address)
	if err != nil {
		return "", fmt.Errorf("proxmox endpoint: %w", err)
	}
	u, err := url.Parse(p.base)
	if err != nil || u.Scheme != "https" {
		return "", fmt.Errorf("read certificate of %s: it speaks http, without a certificate", p.host)
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", fmt.Errorf("read certificate of %s: %w", p.host, err)
	}
	defer func() { _ = conn.Close() }()
	tc, ok := conn.(*tls.Conn)
	if !ok || len(tc.ConnectionState().PeerCertificates) == 0 {
		return "", fmt.Errorf("read certificate of %s: it shows none", p.host)
	}
	return fingerprint(tc.ConnectionState().PeerCertificates[0]), nil
}
