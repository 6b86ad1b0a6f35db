package cli_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/cli"
)

// result is what one command did.
type result struct {
	code           int
	stdout, stderr string
}

func mayfly(t *testing.T, env []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Main(t.Context(), args, strings.NewReader(""), &stdout, &stderr, env)
	return result{code, stdout.String(), stderr.String()}
}

func TestExitCodeTellsUsageFromFailure(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{nil, cli.ExitOK, ""},
		{[]string{"--help"}, cli.ExitOK, ""},
		{[]string{"version"}, cli.ExitOK, ""},
		{[]string{"config"}, cli.ExitOK, ""},
		{[]string{"vresion"}, cli.ExitUsage, `did you mean "version"?`},
		{[]string{"config", "chek"}, cli.ExitUsage, `did you mean "check"?`},
		{[]string{"version", "x"}, cli.ExitUsage, "x"},
		{[]string{"version", "--jsn"}, cli.ExitUsage, "--jsn"},
		{[]string{"version", "--log-level", "loud"}, cli.ExitUsage, "want debug, info, warn or error"},
		{[]string{"version", "--log-format", "xml"}, cli.ExitUsage, "want text or json"},
		{[]string{"config", "check"}, cli.ExitUsage, "PROXMOX_URL"},
		{[]string{"config", "show", "--config", "nowhere.yaml"}, cli.ExitUsage, "nowhere.yaml"},
		{[]string{"config", "check", "a", "b"}, cli.ExitUsage, "at most 1"},
	} {
		r := mayfly(t, nil, tc.args...)
		if r.code != tc.code || !strings.Contains(r.stderr, tc.says) {
			t.Errorf("mayfly %s: exit code %d, want %d with %q; stderr:\n%s", strings.Join(tc.args, " "), r.code, tc.code, tc.says, r.stderr)
		}
		if r.code != cli.ExitOK && r.stdout != "" {
			t.Errorf("mayfly %s: an error, and on stdout:\n%s", strings.Join(tc.args, " "), r.stdout)
		}
		for line := range strings.Lines(r.stderr) {
			if !strings.HasPrefix(line, "mayfly: ") {
				t.Errorf("mayfly %s: line %q", strings.Join(tc.args, " "), line)
			}
		}
	}
}

func TestVersionAsJSONHasItsFields(t *testing.T) {
	var got map[string]string
	if err := json.Unmarshal([]byte(mayfly(t, nil, "version", "--json").stdout), &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"version", "go", "os", "arch"} {
		if got[field] == "" {
			t.Errorf("no %s in %v", field, got)
		}
	}
	if text := mayfly(t, nil, "version").stdout; !strings.Contains(text, got["version"]) || strings.Count(text, "\n") != 1 {
		t.Errorf("version prints %q", text)
	}
}

func TestNewRootBuildsTheSameCommandsEachTime(t *testing.T) {
	names := func() []string {
		var list []string
		for _, c := range cli.NewRoot(cli.Options{Stderr: &bytes.Buffer{}}).Commands() {
			if c.Short == "" || c.RunE == nil {
				t.Errorf("command %s has no words or does nothing", c.Name())
			}
			list = append(list, c.Name())
		}
		return list
	}
	first := names()
	if diff := cmp.Diff(first, names()); diff != "" || len(first) == 0 {
		t.Errorf("commands %v, then (-first +second):\n%s", first, diff)
	}
}
