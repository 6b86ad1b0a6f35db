package packer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sum is a checksum for releases that aren't there.
const sum = "4ef2f25285f0ae4477f1fe1e346db76d2f3ebf03824e2ddd1973a2819bf6c8cf"

// guest is a folder that build.sh takes for the VM, with programs that only note that they were called.
type guest struct {
	t   *testing.T
	dir string
}

func newGuest(t *testing.T, release string) guest {
	t.Helper()
	g := guest{t, t.TempDir()}
	note := "#!/bin/sh\necho \"${0##*/} $*\" >>" + g.path("calls") + "\n"
	for _, name := range []string{"userdel", "fstrim", "sync", "cloud-init"} {
		g.write("bin/"+name, note)
	}
	g.write("bin/id", note+"exit 1\n") // nobody is there any more
	g.write("release.json", release)
	g.write("bin/curl", note+"cat "+g.path("release.json")+"\n")
	g.write("tmp/common/provision.sh", "env | grep -E '^(RUNNER|IMAGE)_' | sort >"+g.path("provisioned")+"\n")
	for _, file := range []string{"etc/shadow-", "etc/passwd-", "etc/sudoers.d/90-packer-build", "etc/shadow"} {
		g.write(file, "")
	}
	script, err := os.ReadFile(filepath.Join(runners, "packer", "build.sh"))
	if err != nil {
		t.Fatal(err)
	}
	g.write("tmp/script.sh", string(script))
	return g
}

func (g guest) path(name string) string { return filepath.Join(g.dir, name) }

func (g guest) write(name, text string) {
	g.t.Helper()
	if err := os.MkdirAll(filepath.Dir(g.path(name)), 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(g.path(name), []byte(text), 0o755); err != nil {
		g.t.Fatal(err)
	}
}

func (g guest) read(name string) string {
	text, _ := os.ReadFile(g.path(name)) // "" when it isn't there
	return string(text)
}

func (g guest) exists(name string) bool {
	_, err := os.Lstat(g.path(name))
	return err == nil
}

// build runs the script with these settings.
func (g guest) build(settings ...string) (string, error) {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), "sh", g.path("tmp/script.sh"))
	cmd.Env = append([]string{
		"PATH=" + g.path("bin") + ":" + os.Getenv("PATH"), "MAYFLY_ROOT=" + g.dir, "COMMON_DIR=" + g.path("tmp/common"),
		"BUILD_USER=packer", "RUNNER_RELEASES=http://127.0.0.1:1/releases",
	}, settings...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// released is GitHub's answer, as far as the script reads it.
func released(digest string) string {
	return fmt.Sprintf(`{"tag_name":"v2.335.1","published_at":"2026-11-20T10:00:00Z","assets":[
		{"name":"actions-runner-linux-arm64-2.335.1.tar.gz","digest":"sha256:00"},
		{"name":"actions-runner-linux-x64-2.335.1.tar.gz","digest":%q}]}`, digest)
}

func TestTheLatestRunnerIsTakenWithGitHubsChecksum(t *testing.T) {
	g := newGuest(t, released("sha256:"+sum))
	if out, err := g.build(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, line := range []string{"RUNNER_VERSION=2.335.1\n", "RUNNER_SHA256=" + sum + "\n", "RUNNER_RELEASED=2026-11-20\n"} {
		if got := g.read("provisioned"); !strings.Contains(got, line) {
			t.Errorf("the scripts were told %q, want %q in it", got, line)
		}
	}
}

func TestAPinnedRunnerAsksNobody(t *testing.T) {
	g := newGuest(t, "")
	if out, err := g.build("RUNNER_VERSION=2.334.0", "RUNNER_SHA256="+sum); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(g.read("calls"), "curl") || !strings.Contains(g.read("provisioned"), "RUNNER_VERSION=2.334.0\n") {
		t.Errorf("calls %q, told %q", g.read("calls"), g.read("provisioned"))
	}
}

func TestABuildWithoutASoundRunnerEnds(t *testing.T) {
	for name, c := range map[string]struct {
		release, words string
		settings       []string
	}{
		"no checksum":      {release: released(""), words: "no checksum"},
		"short checksum":   {release: released("sha256:abc"), words: "no checksum"},
		"another answer":   {release: `{"message":"rate limit"}`, words: "read GitHub's latest runner"},
		"no answer":        {release: "", words: "read GitHub's latest runner"},
		"version alone":    {release: released("sha256:" + sum), words: "set both", settings: []string{"RUNNER_VERSION=2.335.1"}},
		"checksum alone":   {release: released("sha256:" + sum), words: "set both", settings: []string{"RUNNER_SHA256=" + sum}},
		"nobody to remove": {release: released("sha256:" + sum), words: "BUILD_USER", settings: []string{"BUILD_USER="}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, c.release)
			out, err := g.build(c.settings...)
			if err == nil || !strings.Contains(out, c.words) || g.exists("provisioned") {
				t.Errorf("%v, %q; want an error with %q and nothing done", err, out, c.words)
			}
		})
	}
}

func TestWhatOnlyTheBuildNeededIsGone(t *testing.T) {
	g := newGuest(t, released("sha256:"+sum))
	if out, err := g.build(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(g.read("calls"), "userdel --force --remove packer\n") {
		t.Errorf("calls %q, want the user removed", g.read("calls"))
	}
	for _, name := range []string{"etc/shadow-", "etc/passwd-", "etc/sudoers.d/90-packer-build", "tmp/common", "tmp/script.sh"} {
		if g.exists(name) {
			t.Errorf("%s is still there", name)
		}
	}
	if !g.exists("etc/shadow") {
		t.Error("/etc/shadow is gone")
	}
}

func TestAUserWhoStaysEndsTheBuild(t *testing.T) {
	g := newGuest(t, released("sha256:"+sum))
	g.write("bin/id", "#!/bin/sh\n")
	if out, err := g.build(); err == nil || !strings.Contains(out, "still there") {
		t.Errorf("%v, %q; want an error", err, out)
	}
}

func TestPasswordLoginKeepsTheUserButNotItsPowers(t *testing.T) {
	g := newGuest(t, released("sha256:"+sum))
	if out, err := g.build("PASSWORD_LOGIN=true"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(g.read("calls"), "userdel") || g.exists("etc/sudoers.d/90-packer-build") {
		t.Errorf("calls %q, rule there: %v", g.read("calls"), g.exists("etc/sudoers.d/90-packer-build"))
	}
}

func TestAFailedScriptFailsTheBuild(t *testing.T) {
	g := newGuest(t, released("sha256:"+sum))
	g.write("tmp/common/provision.sh", "exit 3\n")
	if out, err := g.build(); err == nil || !strings.Contains(out, "the image was not made") {
		t.Errorf("%v, %q; want an error", err, out)
	}
}
