package packer

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the checkout, seen from here.
const root = "../.."

func git(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "safe.directory=*", "-C", root}, args...)...)
	out, err := cmd.Output()
	return string(out), err
}

func TestGitIgnoresWhatHoldsSecrets(t *testing.T) {
	ignored := []string{
		"dispatcher/dispatcher.env", "runners/common/provision.env", "runners/ubuntu-2204/user-data.rendered.yaml", "user-data.rendered",
	}
	for _, image := range images {
		for _, name := range []string{
			"packer.auto.pkrvars.hcl", "mine.auto.pkrvars.hcl", "mine.pkrvars.hcl", "mine.auto.pkrvars.json", "crash.log", "packer_cache/iso",
		} {
			ignored = append(ignored, filepath.Join("runners", image, name))
		}
		for _, name := range []string{"packer.pkrvars.hcl", image + "-runner-iso.pkr.hcl"} {
			path := filepath.Join("runners", image, name)
			if _, err := git(t, "check-ignore", "--no-index", "--quiet", path); err == nil {
				t.Errorf("Git ignores %s, which belongs to the project", path)
			}
		}
	}
	for _, path := range ignored {
		if _, err := git(t, "check-ignore", "--no-index", "--quiet", path); err != nil {
			t.Errorf("Git doesn't ignore %s: %v", path, err)
		}
		if out, err := git(t, "ls-files", path); err != nil || out != "" {
			t.Errorf("Git tracks %s: %q, %v", path, out, err)
		}
	}
}

// looksSecret are the forms of secrets that people have in these files: a Proxmox token's secret, hashes of passwords,
// GitHub's tokens, private keys.
var looksSecret = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\$(6|y|2b)\$[./A-Za-z0-9]{4,}\$[./A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|-----BEGIN [A-Z ]*PRIVATE KEY`)

func TestNoTrackedFileOfRunnersHoldsASecret(t *testing.T) {
	for _, example := range []string{
		"1b3c5d7e-0123-4567-89ab-0123456789ab", "$6$" + "saltsalt$" + strings.Repeat("a", 86), "ghp_" + strings.Repeat("a", 36),
	} {
		if !looksSecret.MatchString(example) {
			t.Errorf("%s isn't taken for a secret", example)
		}
	}
	// git grep reads what is tracked; it ends with 1 when nothing is found.
	out, err := git(t, "grep", "-nE", looksSecret.String(), "--", "runners", "dispatcher", ":(exclude)*_test.go")
	if out = strings.TrimSpace(out); out != "" {
		t.Errorf("these look like secrets:\n%s", out)
	} else if err == nil {
		t.Error("git grep found something and printed nothing")
	}
	files, err := git(t, "ls-files", "runners")
	if err != nil || !bytes.Contains([]byte(files), []byte("packer.pkrvars.hcl")) {
		t.Errorf("git lists %q, %v: the test looks in the wrong place", files, err)
	}
}
