package cli_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly/internal/bootstrap"
	"mayfly/internal/cli"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// contained are two stand-ins, and container 190 that the dispatcher is said to be in.
type contained struct {
	t   *testing.T
	pve *pve.Server
	env []string // what its dispatcher is started with, but for GITHUB_TOKEN and PROXMOX_TOKEN_SECRET
	// githubToken and proxmoxSecret are what the stand-ins accept.
	githubToken, proxmoxSecret string
}

func newContained(t *testing.T) *contained {
	t.Helper()
	t.Chdir(t.TempDir())
	c := &contained{t: t, pve: pve.New(pve.Options{MayUpload: true, Timing: pve.DemoTiming()})}
	t.Cleanup(c.pve.Close)
	if _, err := c.pve.Listen(); err != nil {
		t.Fatal(err)
	}
	g := gh.New(gh.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Close()
		<-served
	})
	p := c.pve.Info()
	api, err := proxmox.New(proxmox.Options{
		Endpoints: []string{p.URL}, Fingerprint: p.Fingerprint, TokenID: p.TokenID, TokenSecret: runner.NewSecret(p.TokenSecret),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	ct := bootstrap.Container{
		VMID: 190, Hostname: "mayfly", Bridge: "vmbr0", Storage: "local-lvm", Cores: 1, Memory: 512 * runner.MiB, Disk: 2 * runner.GiB,
		IP: "dhcp", ResourcePool: p.ResourcePool,
	}
	upid, err := api.CreateContainer(t.Context(), p.Node, ct.Creation("local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst"))
	if err == nil {
		err = api.WaitTask(t.Context(), upid)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.githubToken, c.proxmoxSecret = g.Info().Token, p.TokenSecret
	c.env = []string{
		"PROXMOX_URL=" + p.URL, "PROXMOX_FINGERPRINT=" + p.Fingerprint, "PROXMOX_NODE=" + p.Node, "PROXMOX_POOL=" + p.ResourcePool,
		"PROXMOX_TOKEN_ID=" + p.TokenID, "GITHUB_API_URL=" + g.Info().APIURL, bootstrap.VMIDVariable + "=190",
	}
	return c
}

// says waits until the container has a tag, and gives its description.
func (c *contained) says(tag string) string {
	c.t.Helper()
	var config map[string]string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		config = c.pve.State().Containers[0].Config
		if config["tags"] == tag {
			return config["description"]
		}
	}
	c.t.Fatalf("tags %q, description %q; want %s", config["tags"], config["description"], tag)
	return ""
}

func TestDispatcherMarksTheContainerThatItIsIn(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // last of all
	c := newContained(t)
	run := []string{"run", "--listen", "127.0.0.1:0"}
	env := slices.Concat(c.env, []string{"PROXMOX_TOKEN_SECRET=" + c.proxmoxSecret, "GITHUB_TOKEN=" + c.githubToken})
	for _, tc := range []struct{ wrong, want string }{{"GITHUB_TOKEN=wrong-token", "401"}, {"TEMPLATE_NAME=no-such-template", "no-such-template"}} {
		s := start(t, slices.Concat(env, []string{tc.wrong}), run...)
		var reason string
		for end := time.Now().Add(patience); !strings.Contains(reason, tc.want) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			reason = c.says(bootstrap.TagFailed)
		}
		if code := s.stop(); code != cli.ExitFailure || !strings.Contains(reason, tc.want) || strings.Contains(reason, "\n") {
			t.Errorf("%s: exit code %d, description %q\n%s", tc.wrong, code, reason, s.stderr)
		}
	}
	s := start(t, env, run...)
	if reason := c.says(bootstrap.TagReady); reason != "" {
		t.Errorf("description %q", reason)
	}
	if code := s.stop(); code != cli.ExitOK {
		t.Errorf("exit code %d:\n%s", code, s.stderr)
	}
}

func TestDispatcherRefusesAContainerThatIsNone(t *testing.T) {
	c := newContained(t)
	var said bytes.Buffer
	env := slices.Concat(c.env, []string{"PROXMOX_TOKEN_SECRET=x", "GITHUB_TOKEN=y", bootstrap.VMIDVariable + "=ct190"})
	code := cli.Main(t.Context(), []string{"run", "--listen", "127.0.0.1:0"}, strings.NewReader(""), &said, &said, env)
	if code != cli.ExitUsage || !strings.Contains(said.String(), `MAYFLY_CONTAINER_VMID="ct190": want the VMID`) {
		t.Errorf("exit code %d: %s", code, said.String())
	}
}

func TestFirstStartOpensTheSecretsOrTellsWhyItCant(t *testing.T) {
	c := newContained(t)
	sealed, key, err := bootstrap.Seal(map[string]runner.Secret{
		bootstrap.ProxmoxTokenSecret: runner.NewSecret(c.proxmoxSecret), bootstrap.GitHubToken: runner.NewSecret(c.githubToken),
	})
	if err != nil {
		t.Fatal(err)
	}
	line, err := bootstrap.CarrierLine(key)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		at := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	firstStart := func() (int, string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var said bytes.Buffer
		code := cli.Main(ctx, []string{"first-start", "--root", root}, strings.NewReader(""), &said, &said, c.env)
		if strings.Contains(said.String(), c.proxmoxSecret) || strings.Contains(said.String(), c.githubToken) || strings.Contains(said.String(), key.Reveal()) {
			t.Errorf("a secret is in the output:\n%s", said.String())
		}
		return code, said.String()
	}
	write("etc/mayfly/sealed.age", string(sealed))
	if code, said := firstStart(); code != cli.ExitUsage || !strings.Contains(said, "run mayfly bootstrap again") {
		t.Errorf("without a key: exit code %d: %s", code, said)
	}
	write("root/.ssh/authorized_keys", line.Reveal()+"\n")
	write("etc/credstore", "")
	if code, said := firstStart(); code != cli.ExitFailure || !strings.Contains(said, "store secrets in /etc/credstore: ") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if reason := c.says(bootstrap.TagFailed); !strings.HasPrefix(reason, "mayfly: store secrets in /etc/credstore: ") {
		t.Errorf("description %q", reason)
	}
	if err := os.Remove(filepath.Join(root, "etc", "credstore")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, said := firstStart(); code != cli.ExitOK {
			t.Errorf("exit code %d: %s", code, said)
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "etc", "credstore", "mayfly.github_token")); err != nil || string(text) != c.githubToken {
		t.Errorf("%q, %v", text, err)
	}
}
