package setup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/cli"
	"mayfly/internal/sim/gh"
)

// first runs the command with good answers and fails unless it succeeds.
func (s *servers) first(t *testing.T) {
	t.Helper()
	if r := s.run(t, nil, nil, s.answers()...); r.code != cli.ExitOK {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

// enters are only line ends: every default, and yes for the certificate.
func enters() []string { return make([]string, 12) }

func TestAnExistingConfigurationGivesTheDefaults(t *testing.T) {
	s := serve(t, serverOptions{})
	s.first(t)
	before := s.read(t, "mayfly.yaml")
	// Enter to everything changes nothing.
	if r := s.run(t, nil, nil, enters()...); r.code != cli.ExitOK || !strings.Contains(r.out, "nothing to do") {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	answers := with(enters(), map[int][]string{11: {"5"}})
	r := s.run(t, nil, nil, answers...)
	if r.code != cli.ExitFailure || !strings.Contains(r.errors, "with --force") || !strings.HasSuffix(r.out, "mayfly.yaml:\n- max_runners: 4  # asked\n+ max_runners: 5  # asked\n") {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	if s.read(t, "mayfly.yaml") != before {
		t.Error("mayfly.yaml was overwritten")
	}
	if r := s.run(t, nil, []string{"--force"}, answers...); r.code != cli.ExitOK {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	c := s.loaded(t)
	if c.MaxRunners != 5 || c.GitHub.Token.Reveal() != s.token || c.Proxmox.Fingerprint != s.info.Fingerprint || c.Pools[0].Template != "ubuntu-2204-runner-template" {
		t.Errorf("loaded %+v", c)
	}
	// The same with --yes, which changes nothing any more.
	if r := s.run(t, nil, []string{"--yes"}); r.code != cli.ExitOK || !strings.Contains(r.out, "nothing to do") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

func TestWhatNoQuestionIsAboutIsKept(t *testing.T) {
	s := serve(t, serverOptions{})
	s.first(t)
	path := filepath.Join(s.dir, "mayfly.yaml")
	text := strings.Replace(s.read(t, "mayfly.yaml"), "installation: energyplus-runner-300", "installation: mine", 1) +
		"    idle_timeout: 7m\n  - {name: other, target: NREL/Other, labels: [other], image: debian-12}\nimage: {packages: [cmake, ninja-build], schedule: weekly}\nlog: {level: debug}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.run(t, nil, []string{"--force", "--max-runners", "7"}, enters()...)
	if r.code != cli.ExitOK {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	c := s.loaded(t)
	if len(c.Pools) != 2 || c.Pools[1].Name != "other" || c.Pools[1].Image != "debian-12" || c.Pools[0].IdleTimeout.String() != "7m0s" || c.MaxRunners != 7 ||
		c.Installation != "mine" || c.Image.Schedule != "weekly" || strings.Join(c.Image.Packages, " ") != "cmake ninja-build" || c.Log.Level != "debug" {
		t.Errorf("loaded %+v", c)
	}
}

// TestFurtherRepositoriesOfAPoolAreKeptAndChecked has a pool of mayfly.yaml serve two: Enter keeps both, and the token has to
// see both; another answer takes the place of both. Either is said.
func TestFurtherRepositoriesOfAPoolAreKeptAndChecked(t *testing.T) {
	for _, tc := range []struct {
		name, answer, says, targets, finds string
		there                              []gh.RepositorySpec
	}{
		{
			name: "as before", says: "also serves NREL/OpenStudio, which stays", targets: "NREL/EnergyPlus, NREL/OpenStudio",
			there: []gh.RepositorySpec{{Name: "NREL/OpenStudio"}},
		},
		{name: "one isn't there", says: "also serves NREL/OpenStudio, which stays", targets: "NREL/EnergyPlus, NREL/OpenStudio", finds: "repository NREL/OpenStudio"},
		{
			name: "another", answer: "NREL/Other", says: "takes the place of all that the pool served: NREL/EnergyPlus, NREL/OpenStudio", targets: "NREL/Other",
			there: []gh.RepositorySpec{{Name: "NREL/Other"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, serverOptions{gh: gh.Options{Repositories: tc.there}})
			s.first(t)
			text := s.read(t, "mayfly.yaml")
			changed := strings.Replace(text, "target: NREL/EnergyPlus", "targets: [NREL/EnergyPlus, NREL/OpenStudio]", 1)
			if changed == text {
				t.Fatalf("no target in\n%s", text)
			}
			if err := os.WriteFile(filepath.Join(s.dir, "mayfly.yaml"), []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			answers := enters()
			if tc.answer != "" {
				answers[8] = tc.answer
			}
			r := s.run(t, nil, []string{"--force"}, answers...)
			if !strings.Contains(r.out, tc.says) || !strings.Contains(r.out, tc.finds) {
				t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
			}
			if got := s.loaded(t).Pools[0].TargetList(); got != tc.targets {
				t.Errorf("serves %s, want %s\n%s%s", got, tc.targets, r.out, r.errors)
			}
		})
	}
}

func TestAnotherSecretIsOnlyWrittenWithForceAndNeverShown(t *testing.T) {
	s := serve(t, serverOptions{})
	path := filepath.Join(s.dir, "github.token")
	const old = "github_pat_old_old_old_old_old_old_old"
	s.revealed = append(s.revealed, old)
	if err := os.WriteFile(path, []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	r := s.run(t, nil, nil, s.answers()...)
	if r.code != cli.ExitFailure || !strings.Contains(r.out, path+": another secret\n") || s.read(t, "github.token") != old {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "mayfly.yaml")); err == nil {
		t.Error("mayfly.yaml was written without its secret")
	}
	if r := s.run(t, nil, []string{"--force"}, s.answers()...); r.code != cli.ExitOK {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestALostSecretIsAskedForAgain(t *testing.T) {
	s := serve(t, serverOptions{})
	s.first(t)
	if err := os.Remove(filepath.Join(s.dir, "github.token")); err != nil {
		t.Fatal(err)
	}
	answers := enters()
	answers[9] = s.token
	r := s.run(t, nil, []string{"--force"}, answers...)
	if r.code != cli.ExitOK || s.loaded(t).GitHub.Token.Reveal() != s.token {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

func TestAConfigurationThatCantBeReadIsToldLineByLine(t *testing.T) {
	s := serve(t, serverOptions{})
	if err := os.WriteFile(filepath.Join(s.dir, "mayfly.yaml"), []byte("max_runners: many\nnosuch: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.run(t, nil, nil, s.answers()...)
	if r.code != cli.ExitUsage || strings.Count(r.errors, "\n") != 2 || !strings.Contains(r.errors, "mayfly.yaml:2:1") {
		t.Errorf("exit code %d\n%s", r.code, r.errors)
	}
}

func TestARenewedCertificateIsNotTakenForTheOldOne(t *testing.T) {
	s := serve(t, serverOptions{})
	s.first(t)
	text := strings.Replace(s.read(t, "mayfly.yaml"), s.info.Fingerprint, strings.Repeat("AB:", 31)+"AB", 1)
	if err := os.WriteFile(filepath.Join(s.dir, "mayfly.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.run(t, nil, []string{"--force"}, with(enters(), map[int][]string{1: {"", "yes"}})...)
	if r.code != cli.ExitOK || !strings.Contains(r.out, "It isn't the one that mayfly.yaml pins.") || s.loaded(t).Proxmox.Fingerprint != s.info.Fingerprint {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
}

func TestNothingIsLeftWhereWritingFails(t *testing.T) {
	s := serve(t, serverOptions{})
	folder := filepath.Join(s.dir, "github.token") // a folder where a file is to go
	if err := os.MkdirAll(filepath.Join(folder, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := s.run(t, nil, []string{"--force"}, s.answers()...)
	if r.code != cli.ExitFailure || !strings.Contains(r.errors, folder) {
		t.Fatalf("exit code %d\n%s", r.code, r.errors)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v: want only the folder", entries, err)
	}
}

func TestSecretsInAConfigurationMoveToFilesUnseen(t *testing.T) {
	s := serve(t, serverOptions{})
	s.first(t)
	const odd = "an-odd-one-of-another-github"
	s.revealed = append(s.revealed, odd)
	text := s.read(t, "mayfly.yaml")
	for _, r := range [][2]string{
		{`token_secret_file: "` + s.dir + `/proxmox.secret"`, "token_secret: " + s.info.TokenSecret}, {`token_file: "` + s.dir + `/github.token"`, "token: >-\n    " + odd},
	} {
		text = strings.Replace(text, r[0], r[1], 1)
	}
	path := filepath.Join(s.dir, "real.yaml")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mayfly.yaml", "proxmox.secret", "github.token"} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real.yaml", filepath.Join(s.dir, "mayfly.yaml")); err != nil {
		t.Fatal(err)
	}
	answers := enters()
	answers[9] = s.token
	r := s.run(t, nil, nil, answers...)
	if r.code != cli.ExitFailure || strings.Count(r.out, "***") < 2 {
		t.Errorf("exit code %d, want what changes without the secrets\n%s%s", r.code, r.out, r.errors)
	}
	if r := s.run(t, nil, []string{"--force"}, answers...); r.code != cli.ExitOK {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	c := s.loaded(t)
	if c.Proxmox.TokenSecret.Reveal() != s.info.TokenSecret || c.GitHub.Token.Reveal() != s.token || strings.Contains(s.read(t, "real.yaml"), s.info.TokenSecret) {
		t.Error("the secrets aren't in files of their own")
	}
	// The link is one still, and the file has the mode that it had.
	link, err := os.Readlink(filepath.Join(s.dir, "mayfly.yaml"))
	info, err2 := os.Stat(path)
	if err != nil || err2 != nil || link != "real.yaml" || info.Mode() != 0o640 {
		t.Errorf("link to %q, %v; mode %v, %v", link, err, info.Mode(), err2)
	}
}
