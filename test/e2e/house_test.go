//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mayfly/internal/bootstrap"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// dispatcherVMID is the container's.
const dispatcherVMID = 190

// house is two stand-ins on a bridge, whose containers are real ones that the test starts itself.
type house struct {
	t       *testing.T
	bridge  bridge
	pve     *pve.Server
	gh      *gh.Server
	url     string // of Proxmox's stand-in
	started chan *pve.Container
	key     runner.Secret
	// args are more arguments of mayfly bootstrap; unpacked, if set, is called before a container starts.
	args     []string
	unpacked func(*lxc)
	// ca is the certificate of GitHub's stand-in, which the container has to trust.
	ca []byte
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, bridge: newBridge(t), started: make(chan *pve.Container, 1)}
	cert := h.certificate()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(h.ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	guests := world.NewGuests(world.GuestOptions{
		Seed: 7, Boot: 300 * time.Millisecond, AgentDelay: 100 * time.Millisecond, Linger: 500 * time.Millisecond, Transport: transport,
	})
	t.Cleanup(guests.Close)
	h.gh = gh.New(gh.Options{Seed: 7, Repository: repository})
	h.pve = pve.New(pve.Options{
		Seed: 7, MayUpload: true, Timing: pve.DemoTiming(), Engine: guests,
		Container: func(ctx context.Context, c *pve.Container) {
			select {
			case h.started <- c:
			case <-ctx.Done():
			}
			<-ctx.Done()
		},
	})
	var serving sync.WaitGroup
	listen := func(serve func(net.Listener) error) string {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(h.bridge.here.String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		serving.Go(func() {
			if err := serve(l); err != nil {
				t.Error(err)
			}
		})
		return l.Addr().String()
	}
	h.gh.SetAPIURL("https://" + listen(func(l net.Listener) error {
		return h.gh.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
	}))
	h.url = "https://" + listen(h.pve.Serve)
	t.Cleanup(func() {
		h.gh.Close()
		h.pve.Close()
		serving.Wait()
	})
	return h
}

// certificate makes one for this machine's address on the bridge, and h.ca.
func (h *house) certificate() tls.Certificate {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "GitHub's stand-in"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{h.bridge.here}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		h.t.Fatal(err)
	}
	h.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// config is the dispatcher's mayfly.yaml, without secrets.
func (h *house) config(template string) []byte {
	p, g := h.pve.Info(), h.gh.Info()
	return fmt.Appendf(nil, `installation: contained
proxmox:
  url: %s
  fingerprint: %s
  node: %s
  token_id: %s
  resource_pool: %s
github:
  api_url: %s
poll_interval: 1s
pools:
  - name: energyplus
    target: %s
    labels: [energyplus, linux, x64]
bootstrap:
  id: %d
  hostname: dispatcher
  ip: %s/30
  gateway: %s
  template: %s
`, h.url, p.Fingerprint, p.Node, p.TokenID, p.ResourcePool, g.APIURL, g.Repository,
		dispatcherVMID, h.bridge.next, h.bridge.here, template)
}

// template is Debian as its administrator prepared it: it trusts GitHub's stand-in.
func (h *house) template() string {
	h.t.Helper()
	debian, err := os.Open(debianTemplate(h.t))
	if err != nil {
		h.t.Fatal(err)
	}
	defer debian.Close()
	path := filepath.Join(shortDir(h.t), "debian.tar.zst")
	out, err := os.Create(path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	if err := bootstrap.AddTo(h.t.Context(), out, debian, []bootstrap.Entry{{
		Path: "/etc/ssl/certs/github-stand-in.pem", Mode: 0o644, Body: bytes.NewReader(h.ca), Size: int64(len(h.ca)),
	}}, time.Now()); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// bootstrap runs `mayfly bootstrap`, and boots the container for real when the stand-in starts it. It gives what the command said
// last, and its error.
func (h *house) bootstrap(githubToken string) (*lxc, string, error) {
	h.t.Helper()
	program, dir := staticProgram(h.t), h.t.TempDir()
	file := filepath.Join(dir, "mayfly.yaml")
	if err := os.WriteFile(file, h.config(h.template()), 0o600); err != nil {
		h.t.Fatal(err)
	}
	authority := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(authority, h.ca, 0o600); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*patience)
	h.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, "bootstrap", "--config", file, "--wait", patience.String())
	cmd.Args = append(cmd.Args, h.args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "SSL_CERT_FILE=" + authority,
		"PROXMOX_TOKEN_SECRET=" + h.pve.Info().TokenSecret, "GITHUB_TOKEN=" + githubToken,
	}
	said := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		h.t.Fatalf("no container was started: %v\n%s", err, said)
	case ct := <-h.started:
		h.key, _, _ = bootstrap.TakeKey([]byte(ct.AuthorizedKeys))
		c := newLXC(h.t, ct, h.bridge)
		if h.unpacked != nil {
			h.unpacked(c)
		}
		c.start()
		err := <-ended
		h.t.Logf("mayfly bootstrap:\n%s", said)
		return c, said.String(), err
	}
	return nil, "", nil
}

// staticProgram is mayfly as releases have it: linked statically.
func staticProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mayfly")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/mayfly")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build mayfly: %v\n%s", err, out)
	}
	return path
}
