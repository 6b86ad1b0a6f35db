package cli_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly/internal/cli"
)

// TestRunPlansImageBuildsAndEndsWhole reaches nobody: only the plan is looked at, and that it ends with the rest.
func TestRunPlansImageBuildsAndEndsWhole(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Chdir(t.TempDir())
	text := `proxmox: {url: "https://127.0.0.1:1", node: pve1, token_id: mayfly@pve!dispatcher, token_secret: not-to-be-seen}
github: {api_url: "http://127.0.0.1:1", token: nor-this}
pools: [{name: a, target: NREL/EnergyPlus, labels: [a], image: debian-12}]
web: {listen: "127.0.0.1:0"}
image: {schedule: weekly, names: [debian-12]}
`
	if err := os.WriteFile("mayfly.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", l.LocalAddr().String())
	s := start(t, nil, "run")
	_ = l.SetReadDeadline(time.Now().Add(patience))
	if _, err := l.Read(make([]byte, 4096)); err != nil { // READY=1: everything has begun
		t.Fatal(err)
	}
	if code := s.stop(); code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(s.stderr.String(), `msg="image build planned" image=debian-12 at=`) {
		t.Errorf("no build is planned:\n%s", s.stderr)
	}
	if err := os.WriteFile("mayfly.yaml", []byte(strings.Replace(text, "weekly", "61 * * * *", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := mayfly(t, nil, "run"); r.code != cli.ExitUsage || !strings.Contains(r.stderr, `schedule "61 * * * *"`) {
		t.Errorf("a schedule that is none: exit code %d:\n%s", r.code, r.stderr)
	}
}
