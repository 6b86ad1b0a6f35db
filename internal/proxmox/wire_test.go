package proxmox_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tokenID = "ci@pve!mayfly"
	// planted must show nowhere but in the Authorization header.
	planted = "5ec2e700-aaaa-4bbb-8ccc-0123456789ab"
	upid    = "UPID:pve1:00004812:0007DA4D:6B04FAF6:qmclone:9000:ci@pve!runner:"
)

// request is what a wire server read.
type request struct {
	Method, URI, Body string
	Header            http.Header
	Length            int64
	Chunked           bool
}

// wire is a server that answers with exact bytes. An answer of nil closes the connection without a word.
type wire struct {
	URL         string
	Fingerprint string
	CAFile      []byte

	answer func(r request) []byte
	ln     net.Listener
	wg     sync.WaitGroup

	mu    sync.Mutex
	seen  []request
	conns map[net.Conn]bool
}

// newWire starts a server; with https it has a certificate of its own making for 127.0.0.1.
func newWire(t *testing.T, https bool, answer func(r request) []byte) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{answer: answer, conns: map[net.Conn]bool{}}
	w.URL = "http://" + ln.Addr().String()
	if https {
		cert := selfSigned(t)
		sum := sha256.Sum256(cert.Certificate[0])
		w.Fingerprint = strings.TrimSuffix(strings.ToUpper(fmt.Sprintf("% x", sum[:])), " ")
		w.Fingerprint = strings.ReplaceAll(w.Fingerprint, " ", ":")
		w.CAFile = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
		w.URL = "https://" + ln.Addr().String()
	}
	w.ln = ln
	w.wg.Go(w.accept)
	t.Cleanup(w.stop)
	return w
}

func (w *wire) accept() {
	for {
		conn, err := w.ln.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		w.conns[conn] = true
		w.mu.Unlock()
		w.wg.Go(func() { w.serve(conn) })
	}
}

func (w *wire) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		w.mu.Lock()
		delete(w.conns, conn)
		w.mu.Unlock()
	}()
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		got := request{
			Method: r.Method, URI: r.RequestURI, Body: string(body), Header: r.Header, Length: r.ContentLength,
			Chunked: len(r.TransferEncoding) > 0,
		}
		w.mu.Lock()
		w.seen = append(w.seen, got)
		w.mu.Unlock()
		reply := w.answer(got)
		if _, err := conn.Write(reply); err != nil || len(reply) == 0 {
			return
		}
		if bytes.Contains(reply, []byte("Connection: close\r\n")) {
			return
		}
	}
}

// stop closes everything and waits.
func (w *wire) stop() {
	_ = w.ln.Close()
	w.mu.Lock()
	for c := range w.conns {
		_ = c.Close()
	}
	w.mu.Unlock()
	w.wg.Wait()
}

// requests are those read so far.
func (w *wire) requests() []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]request(nil), w.seen...)
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "pve1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// newClient makes a client of the endpoints; change may adjust its options.
func newClient(t *testing.T, change func(*proxmox.Options), endpoints ...string) *proxmox.Client {
	t.Helper()
	o := proxmox.Options{Endpoints: endpoints, TokenID: tokenID, TokenSecret: runner.NewSecret(planted)}
	if change != nil {
		change(&o)
	}
	c, err := proxmox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.SetPause(time.Millisecond)
	t.Cleanup(c.Close)
	return c
}

// refused is an address where nobody listens.
func refused(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return "http://" + ln.Addr().String()
}

// reply builds a reply as pveproxy writes it.
func reply(status, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nServer: pve-api-daemon/3.0\r\nContent-Length: %d\r\nContent-Type: application/json;charset=UTF-8\r\n\r\n%s",
		status, len(body), body)
}

// bare builds a reply without a body, as those made of the reason phrase alone.
func bare(status string) []byte {
	return []byte("HTTP/1.1 " + status + "\r\nServer: pve-api-daemon/3.0\r\nConnection: close\r\n\r\n")
}

func always(b []byte) func(request) []byte { return func(request) []byte { return b } }

// logTo returns a logger that writes everything into b.
func logTo(b *lockedBuffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
