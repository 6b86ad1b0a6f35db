package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestVersionsSortByAge makes a history with tags and asks for the version at each commit; the order of the cases is the one
// that dpkg and rpm must sort them in.
func TestVersionsSortByAge(t *testing.T) {
	script, err := filepath.Abs(filepath.Join("..", "..", "scripts", "release-version.sh"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_DIR="+filepath.Join(dir, ".git"),
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
			"GIT_AUTHOR_DATE=1700000000 +0900", "GIT_COMMITTER_DATE=1700000000 +0900")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v: %s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("git", "init", "-q")
	dpkg, _ := exec.LookPath("dpkg")
	before := ""
	for _, c := range []struct{ tag, want string }{
		{"", `0~20231114221320\.g[0-9a-f]{10}`},
		{"v0.9.0-rc.1", `0\.9\.0~rc\.1`},
		{"", `0\.9\.0~rc\.1\+1\.g[0-9a-f]{10}`},
		{"v0.9.0", `0\.9\.0`},
		{"not-a-version", `0\.9\.0\+1\.g[0-9a-f]{10}`},
		{"v0.10.0", `0\.10\.0`},
	} {
		run("git", "commit", "-q", "--allow-empty", "-m", "change")
		if c.tag != "" {
			run("git", "tag", c.tag)
		}
		got := run("sh", script)
		if !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
			t.Errorf("at tag %q: %s; want %s", c.tag, got, c.want)
		}
		if dpkg != "" && before != "" {
			run(dpkg, "--compare-versions", before, "lt", got)
		}
		before = got
	}
}
