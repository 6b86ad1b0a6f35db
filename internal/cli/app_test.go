package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"mayfly/internal/config"
)

// runWith runs a command of the test's own inside the root command.
func runWith(t *testing.T, env, args []string, run func(*app, *cobra.Command) error) (code int, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	var out bytes.Buffer
	a := newApp(Options{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Env: env})
	root := a.root()
	root.AddCommand(&cobra.Command{Use: "try", RunE: func(cmd *cobra.Command, _ []string) error { return run(a, cmd) }})
	root.SetArgs(append([]string{"try"}, args...))
	return a.exitCode(root.ExecuteContext(t.Context())), out.String()
}

var fullEnv = []string{
	"PROXMOX_URL=http://10.1.1.158:8006", "PROXMOX_NODE=pve1", "PROXMOX_TOKEN_ID=mayfly@pve!dispatcher", "PROXMOX_TOKEN_SECRET=not-to-be-seen",
	"GITHUB_TOKEN=not-to-be-seen", "PROXMOX_FINGERPRINT=" + strings.Repeat("ab", 32),
}

func TestLoadConfigSaysEachWarningOnceInTheConfiguredLog(t *testing.T) {
	code, stderr := runWith(t, fullEnv, []string{"--log-format", "json"}, func(a *app, _ *cobra.Command) error {
		c, err := a.loadConfig(nil, config.Override{Path: "web.listen", Flag: "--listen", Value: "127.0.0.1:0"})
		if err != nil {
			return err
		}
		if c.Web.Listen != "127.0.0.1:0" {
			t.Errorf("listen %q, want the flag's", c.Web.Listen)
		}
		a.logger.Debug("not shown")
		return nil
	})
	var line struct{ Level, Msg, Key, From, Reason string }
	if err := json.Unmarshal([]byte(stderr), &line); err != nil || code != ExitOK {
		t.Fatalf("exit code %d, want one line of JSON: %v\n%s", code, err, stderr)
	}
	if line.Level != "WARN" || line.Key != "proxmox.url" || line.From != "PROXMOX_URL" || !strings.Contains(line.Reason, "in clear") {
		t.Errorf("warning %+v", line)
	}
}

func TestExitCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		code int
		says string
	}{
		"none":          {nil, ExitOK, ""},
		"failure":       {errors.New("clone template: no room"), ExitFailure, "mayfly: clone template: no room\n"},
		"usage":         {usageError{errors.New("--jobs -1: want 1 or more")}, ExitUsage, "mayfly: --jobs -1: want 1 or more\n"},
		"configuration": {config.Problems{{Path: "a", Wrong: "b"}, {Path: "c", Wrong: "d"}}, ExitUsage, "mayfly: a: b\nmayfly: c: d\n"},
		"said":          {saidError{ExitFailure}, ExitFailure, ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, stderr := runWith(t, nil, nil, func(*app, *cobra.Command) error { return tc.err })
			if code != tc.code || stderr != tc.says {
				t.Errorf("exit code %d, want %d; says %q, want %q", code, tc.code, stderr, tc.says)
			}
		})
	}
}

func TestNoConfigurationIsReadUnlessACommandAsks(t *testing.T) {
	code, stderr := runWith(t, nil, []string{"--config", "nowhere.yaml"}, func(*app, *cobra.Command) error { return nil })
	if code != ExitOK || stderr != "" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	code, stderr = runWith(t, fullEnv, nil, func(a *app, _ *cobra.Command) error {
		if err := os.WriteFile(defaultConfigFile, []byte("pools: 1\n"), 0o600); err != nil {
			return err
		}
		_, err := a.loadConfig(nil)
		return err
	})
	if code != ExitUsage || !strings.HasPrefix(stderr, "mayfly: mayfly.yaml:1:8: pools: ") {
		t.Errorf("exit code %d, %q: a mayfly.yaml in the folder is read", code, stderr)
	}
}
