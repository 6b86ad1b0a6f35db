package setup_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/cli"
	"mayfly/internal/config"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden compares a text with a file of testdata, addresses and the like taken out.
func (s *servers) golden(t *testing.T, name, text string) {
	t.Helper()
	api := strings.TrimSuffix(s.repo, "/NREL/EnergyPlus")
	for _, r := range [][2]string{
		{s.dir, "/etc/mayfly"}, {s.info.URL, "https://pve1.example.org:8006"}, {s.info.Fingerprint, "AA:BB:…"}, {api, "https://github.example.org"},
	} {
		text = strings.ReplaceAll(text, r[0], r[1])
	}
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", name, diff)
	}
}

// loaded is the mayfly.yaml that was written, read without any environment; it must not be warned of.
func (s *servers) loaded(t *testing.T) *config.Config {
	t.Helper()
	c, _, err := config.Load(config.LoadOptions{File: filepath.Join(s.dir, "mayfly.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range c.Warnings {
		t.Errorf("warning: %s", w)
	}
	return c
}

// checked runs mayfly check with what was written.
func (s *servers) checked(t *testing.T) (code int, out string) {
	t.Helper()
	var buffer bytes.Buffer
	code = cli.Main(t.Context(), []string{"check", "--config", filepath.Join(s.dir, "mayfly.yaml")}, strings.NewReader(""), &buffer, &buffer, nil)
	return code, buffer.String()
}

func TestAnswersBecomeAConfigurationThatCheckFindsGood(t *testing.T) {
	s := serve(t, serverOptions{})
	r := s.run(t, nil, nil, s.answers()...)
	if r.code != cli.ExitOK || r.errors != "" {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	s.golden(t, "template.yaml", s.read(t, "mayfly.yaml"))
	s.golden(t, "template.txt", untilDate(r.out))
	c := s.loaded(t)
	if c.Proxmox.TokenSecret.Reveal() != s.info.TokenSecret || c.GitHub.Token.Reveal() != s.token {
		t.Error("the secrets aren't those that were typed")
	}
	for name, want := range map[string]os.FileMode{"mayfly.yaml": 0o644, "proxmox.secret": 0o600, "github.token": 0o600} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode(), want)
		}
	}
	if strings.Contains(s.read(t, "mayfly.yaml"), s.info.TokenSecret) || strings.Contains(s.read(t, "mayfly.yaml"), s.token) {
		t.Error("a secret is in mayfly.yaml")
	}
	if code, out := s.checked(t); code == cli.ExitFailure || code == cli.ExitUsage {
		t.Errorf("mayfly check ends with %d:\n%s", code, out)
	}
}

// untilDate takes out the day that a certificate ends on.
func untilDate(s string) string {
	before, after, ok := strings.Cut(s, ", until ")
	if !ok {
		return s
	}
	return before + ", until YYYY-MM-DD" + after[len("2006-01-02"):]
}

func TestAnImageToBuildIsAskedForWhatABuildTakes(t *testing.T) {
	s := serve(t, serverOptions{pve: pve.Options{MayUpload: true}})
	answers := s.answers()
	answers[2], answers[3] = s.info.AdminTokenID, s.info.AdminTokenSecret // the dispatcher's may not build
	r := s.run(t, nil, nil, with(answers, map[int][]string{6: {"ubuntu-24.04", "", "", "", "ci-templates"}})...)
	if r.code != cli.ExitOK || r.errors != "" {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	s.golden(t, "image.yaml", s.read(t, "mayfly.yaml"))
	c := s.loaded(t)
	if c.Pools[0].Image != "ubuntu-2404" || c.Image.Storage != "local-lvm" || c.Image.FilesStorage != "local" || c.Image.ResourcePool != "ci-templates" {
		t.Errorf("image %+v", c.Image)
	}
	if !strings.Contains(r.out, "\n  mayfly image build ubuntu-2404 --config ") {
		t.Errorf("the next command isn't told:\n%s", r.out)
	}
}

func TestAnEnvironmentIsAnswersAndNothingIsAskedAgain(t *testing.T) {
	s := serve(t, serverOptions{})
	env := []string{
		"PROXMOX_URL=" + s.info.URL + "/api2/json", "PROXMOX_NODE=pve1", "PROXMOX_TOKEN_ID=" + s.info.TokenID, "PROXMOX_TOKEN_SECRET=" + s.info.TokenSecret,
		"PROXMOX_POOL=ci", "PROXMOX_VERIFY_SSL=false", "GITHUB_TOKEN=" + s.token, "REPO_URL=" + s.repo, "RUNNER_LABELS=energyplus,linux", "POLL_INTERVAL=20",
		"RUNNER_ID_START=300", "RUNNER_ID_END=319", "TEMPLATE_NAME=ubuntu-2204-runner-template",
	}
	r := s.run(t, env, []string{"--yes"})
	if r.code != cli.ExitOK || r.errors != "" {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	s.golden(t, "environment.yaml", s.read(t, "mayfly.yaml"))
	c := s.loaded(t)
	if c.PollInterval.String() != "20s" || c.VMIDs.Start != 300 || c.VMIDs.End != 319 || c.Proxmox.Fingerprint != s.info.Fingerprint {
		t.Errorf("loaded %+v", c)
	}
	// What identifies the runners of a dispatcher that lived by this environment stays.
	if c.NamePrefix != "energyplus-runner" || c.Installation != "energyplus-runner-300" {
		t.Errorf("prefix %q, installation %q", c.NamePrefix, c.Installation)
	}
}

func TestAnEnvFileIsFoundAndRead(t *testing.T) {
	s := serve(t, serverOptions{gh: gh.Options{}})
	t.Chdir(t.TempDir())
	if err := os.Mkdir("dispatcher", 0o755); err != nil {
		t.Fatal(err)
	}
	text := "export PROXMOX_URL=" + s.info.URL + "\nPROXMOX_TOKEN_ID='" + s.info.TokenID + "'\nPROXMOX_TOKEN_SECRET=" + s.info.TokenSecret + "\nREPO_URL=" + s.repo + "\nGITHUB_TOKEN=" + s.token + "\n"
	if err := os.WriteFile("dispatcher/dispatcher.env", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.run(t, nil, []string{"--yes", "--pin-certificate", "--max-runners", "2", "--labels", "x"})
	if r.code != cli.ExitOK {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	if c := s.loaded(t); c.Pools[0].Target.String() != "NREL/EnergyPlus" || c.MaxRunners != 2 || c.Pools[0].Labels[0] != "x" {
		t.Errorf("loaded %+v", c.Pools)
	}
	if !strings.Contains(r.out, "PROXMOX_TOKEN_ID in dispatcher.env") {
		t.Errorf("where the answer is from isn't told:\n%s", r.out)
	}
}

func TestAFolderThatIsntThereIsToldBeforeTheQuestions(t *testing.T) {
	s := serve(t, serverOptions{})
	s.dir = filepath.Join(s.dir, "nosuch")
	r := s.run(t, nil, nil)
	if r.code != cli.ExitFailure || r.out != "" || r.errors != "mayfly: init: write into "+s.dir+": no such file or directory; make that folder (mkdir -p), or give another file by --config\n" {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

func TestATokenThatMayDoEverythingIsSaid(t *testing.T) {
	s := serve(t, serverOptions{})
	r := s.run(t, nil, nil, with(s.answers(), map[int][]string{2: {s.info.AdminTokenID}, 3: {s.info.AdminTokenSecret}})...)
	if r.code != cli.ExitOK || !strings.Contains(r.out, "It may do everything on this cluster.") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

// TestSecretsAreInNoLog logs all there is; run looks for secrets in everything that the command writes.
func TestSecretsAreInNoLog(t *testing.T) {
	s := serve(t, serverOptions{})
	r := s.run(t, nil, []string{"--log-level", "debug"}, with(s.answers(), map[int][]string{3: {s.info.AdminTokenSecret, s.info.TokenID, s.info.TokenSecret}})...)
	if r.code != cli.ExitOK || !strings.Contains(r.errors, "level=DEBUG") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

func TestHelpAndQuestionsFitATerminalOf80Columns(t *testing.T) {
	s := serve(t, serverOptions{})
	var help bytes.Buffer
	if code := cli.Main(t.Context(), []string{"init", "--help"}, strings.NewReader(""), &help, &help, nil); code != cli.ExitOK {
		t.Fatalf("exit code %d", code)
	}
	// What is answered goes into the prompt's line; addresses, paths and a fingerprint are as long as they are.
	shown := strings.NewReplacer(s.dir, "", s.info.Fingerprint, "").Replace(help.String() + s.run(t, nil, nil, s.answers()...).out)
	for line := range strings.Lines(shown) {
		if width := len([]rune(strings.TrimSuffix(line, "\n"))); width > 80 && !strings.Contains(line, "://") {
			t.Errorf("%d columns: %s", width, line)
		}
	}
}
