package pve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// identity is the server's self-signed certificate, as a node has one: made once, when first asked for.
type identity struct {
	once sync.Once
	cert tls.Certificate
	err  error
}

func (i *identity) certificate(nodes []string) (tls.Certificate, error) {
	i.once.Do(func() { i.cert, i.err = selfSigned(nodes) })
	return i.cert, i.err
}

// fingerprint is the SHA-256 of the certificate as Proxmox shows it: upper-case pairs with colons. "" when there is no
// certificate.
func (i *identity) fingerprint(nodes []string) string {
	cert, err := i.certificate(nodes)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(cert.Certificate[0])
	pairs := make([]string, len(sum))
	for n, b := range sum {
		pairs[n] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

func selfSigned(nodes []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make serial number: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: nodes[0], Organization: []string{"PVE Cluster Node"}},
		NotBefore:             time.Now().Add(-24 * time.Hour),
		NotAfter:              time.Now().Add(2 * 365 * 24 * time.Hour), // pve-ssl.pem: two years
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              append([]string{"localhost"}, nodes...),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
