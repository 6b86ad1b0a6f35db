package guides

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/test/transcript"
)

// steps are the README's, in the order in which people need them.
var steps = []string{
	"## 1. Variables of the image", "## 2. Build the image", "## 3. What the image holds", "## 4. The dispatcher", "## 5. The GitHub token",
	"## 6. Bootstrap", "## 7. Secrets and tokens", "## 8. The first job", "## 9. Troubleshooting", "## 10. A runner by hand",
}

func TestReadmeIsShortAndInOrder(t *testing.T) {
	text := guide(t, "README.md")
	shown, err := transcript.In(text) // which is folded away
	if err != nil {
		t.Error(err)
	}
	if n := strings.Count(text, "\n") - strings.Count(shown, "\n"); n >= 200 {
		t.Errorf("the README has %d lines, want fewer than 200: details go to docs", n)
	}
	rest := text
	for _, step := range steps {
		_, after, ok := strings.Cut(rest, step+"\n")
		if !ok {
			t.Fatalf("the README lacks %q, or has it too early", step)
		}
		rest = after
	}
}

func TestReadmeLeadsToEveryPage(t *testing.T) {
	text := guide(t, "README.md")
	for _, name := range guides(t) {
		if name != "README.md" && !strings.Contains(text, "("+name) {
			t.Errorf("the README doesn't lead to %s", name)
		}
	}
}

// TestReadmeCallsRunOnceRightly runs its call of run-once.sh on a guest that holds nothing: the script must understand it, and
// refuse for want of a runner (4) instead of for the call (2).
func TestReadmeCallsRunOnceRightly(t *testing.T) {
	const script = "/opt/actions-runner/run-once.sh "
	checked := 0
	for _, c := range commands(guide(t, "README.md")) {
		_, args, ok := strings.Cut(c, script)
		if !ok {
			continue
		}
		checked++
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{filepath.Join(root, "runners", "common", "run-once.sh")}, words(args)...)...)
		cmd.Env = append(os.Environ(), "MAYFLY_ROOT="+t.TempDir())
		cmd.Stdin = strings.NewReader("AABBCCDDEEFFGGHHIIJJKKLLMM")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 4 {
			t.Errorf("run-once.sh %s: %v, want exit code 4\n%s", args, err, out)
		}
	}
	if checked != 1 {
		t.Errorf("found %d calls of run-once.sh, want one", checked)
	}
}
