package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly/internal/cli"
)

// started is a command that goes on in this process until stop.
type started struct {
	out    *bufio.Reader
	stderr *bytes.Buffer // to be read after stop
	stop   func() (code int)
}

func start(t *testing.T, env []string, args ...string) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	s := &started{out: bufio.NewReader(r), stderr: &bytes.Buffer{}}
	ended := make(chan int, 1)
	go func() {
		code := cli.Main(ctx, args, strings.NewReader(""), w, s.stderr, env)
		_ = w.Close()
		ended <- code
	}()
	s.stop = func() int {
		cancel()
		_, _ = io.Copy(io.Discard, s.out)
		code := <-ended
		ended <- code
		return code
	}
	t.Cleanup(func() { s.stop() })
	return s
}

func TestStandInForGitHubSpeaksTLSWithTheCertificateItPrints(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := start(t, nil, "sim", "gh", "--tls")
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var first struct {
		URL         string `json:"api_url"`
		Token       string `json:"token"`
		Certificate string `json:"certificate"`
	}
	if err := json.Unmarshal(line, &first); err != nil || !strings.HasPrefix(first.URL, "https://127.0.0.1:") {
		t.Fatalf("first line %s: %v", line, err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(first.Certificate))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for _, root := range []string{"", "/api/v3"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, first.URL+root+"/repos/NREL/EnergyPlus/actions/runners", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+first.Token)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"total_count"`)) {
			t.Errorf("runners at %q: %s: %s", root, resp.Status, text)
		}
	}
	if code := s.stop(); code != cli.ExitOK {
		t.Errorf("exit code %d:\n%s", code, s.stderr)
	}
}

// TestSystemdIsToldOfTheWholeRun plays the service manager for a run that reaches nobody.
func TestSystemdIsToldOfTheWholeRun(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Chdir(t.TempDir())
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "1000000")
	hear := func(want string) {
		t.Helper()
		var heard []string
		for buf := make([]byte, 4096); ; {
			_ = l.SetReadDeadline(time.Now().Add(patience))
			n, err := l.Read(buf)
			if err != nil {
				t.Fatalf("%v; heard %q, want %q", err, heard, want)
			}
			if heard = append(heard, string(buf[:n])); strings.HasPrefix(heard[len(heard)-1], want) {
				return
			}
		}
	}
	const nobody = "127.0.0.1:1" // tcpmux: no system of today serves it
	s := start(t, []string{
		"PROXMOX_URL=https://" + nobody, "PROXMOX_NODE=pve1", "PROXMOX_TOKEN_ID=mayfly@pve!dispatcher",
		"PROXMOX_TOKEN_SECRET=not-to-be-seen", "GITHUB_TOKEN=not-to-be-seen-either", "GITHUB_API_URL=http://" + nobody,
	}, "run", "--listen", "127.0.0.1:0")
	hear("READY=1")
	hear("STATUS=not ready: github: ")
	hear("WATCHDOG=1")
	hear("WATCHDOG=1")
	if code := s.stop(); code != cli.ExitOK {
		t.Errorf("exit code %d:\n%s", code, s.stderr)
	}
	hear("STOPPING=1")
	if strings.Contains(s.stderr.String(), "not-to-be-seen") {
		t.Errorf("a secret is in the log:\n%s", s.stderr)
	}
	messages := []string{"mayfly starts", "certificate of Proxmox is not checked", "proxmox unreachable", "github unreachable", "not ready", "mayfly stops", "mayfly stopped"}
	for line := range strings.Lines(s.stderr.String()) {
		messages = slices.DeleteFunc(messages, func(m string) bool { return strings.Contains(line, `msg="`+m+`"`) })
	}
	if len(messages) > 0 {
		t.Errorf("not said: %q in:\n%s", messages, s.stderr)
	}
}

func TestDemoLeavesNoGoroutineBehind(t *testing.T) {
	for _, args := range [][]string{{"--once", "--jobs", "2"}, {"--jobs", "2"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			defer goleak.VerifyNone(t)
			s := start(t, nil, append([]string{"demo"}, args...)...)
			for line := ""; !strings.Contains(line, "  success "); {
				var err error
				if line, err = s.out.ReadString('\n'); err != nil {
					t.Fatalf("%v before a job was done", err)
				}
			}
			if code := s.stop(); code != cli.ExitOK {
				t.Errorf("exit code %d:\n%s", code, s.stderr)
			}
		})
	}
}

func TestDemoRefusesRealMachinesWithoutAnImageAndEndsWhole(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	s := start(t, nil, "demo", "--once", "--qemu")
	if code := s.stop(); code != cli.ExitFailure || !strings.Contains(s.stderr.String(), "go run ./test/guest tiny") {
		t.Errorf("exit code %d:\n%s", code, s.stderr)
	}
}
