package image

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shells are those of guests that this machine has.
func shells(t *testing.T) [][]string {
	t.Helper()
	var found [][]string
	for _, sh := range [][]string{{"dash"}, {"busybox", "sh"}, {"bash", "--posix"}, {"sh"}} {
		if path, err := exec.LookPath(sh[0]); err == nil {
			found = append(found, append([]string{path}, sh[1:]...))
		}
	}
	if len(found) == 0 {
		t.Fatal("no shell")
	}
	return found
}

// TestScriptTellsHowProvisioningEndedAndPowersOff runs build.sh in a folder of its own, as cloud-init would.
func TestScriptTellsHowProvisioningEndedAndPowersOff(t *testing.T) {
	for _, sh := range shells(t) {
		for name, tc := range map[string]struct {
			provision string
			result    string
			progress  []string
		}{
			"good":    {"echo '==> cleans up'\ncat ./provision.env\nls provision.d", "{\"exit_code\":0}\n", []string{"==> cleans up", "A='1'", "10-user.sh"}},
			"bad":     {"i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo \"line $i\"; done; echo 'E: no such package' >&2; exit 7", "{\"exit_code\":7}\n", []string{"line 100", "E: no such package"}},
			"missing": {"", "", nil},
		} {
			t.Run(filepath.Base(sh[0])+" "+name, func(t *testing.T) {
				root := t.TempDir()
				write := func(file, text string) {
					t.Helper()
					path := filepath.Join(root, file)
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				write("seed/build.sh", string(buildScript))
				write("seed/common/provision.d/10-user.sh", "#\n")
				write("seed/common/provision.env", "A='1'\n")
				if tc.provision != "" {
					write("seed/common/provision.sh", tc.provision+"\n")
				}
				write("sbin/poweroff", "#!/bin/sh\n[ -e '"+root+"/run/mayfly-build/result.json' ] && echo >'"+root+"/off'\n")
				write("dev/console", "")
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, sh[0], append(slices.Clone(sh[1:]), filepath.Join(root, "seed", "build.sh"), filepath.Join(root, "seed"))...)
				cmd.Env = append(os.Environ(), "MAYFLY_ROOT="+root, "MAYFLY_LINGER=0")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				read := func(file string) string {
					t.Helper()
					text, err := os.ReadFile(filepath.Join(root, file))
					if err != nil {
						t.Fatal(err)
					}
					return string(text)
				}
				read("off")
				got := read("run/mayfly-build/result.json")
				if got != tc.result && (tc.provision != "" || got == "{\"exit_code\":0}\n") { // shells differ in how they miss a file
					t.Errorf("result %q, want %q", got, tc.result)
				}
				progress := read("run/mayfly-build/progress")
				for _, line := range tc.progress {
					if !strings.Contains(progress, line) {
						t.Errorf("no %q in what it said:\n%s", line, progress)
					}
				}
				if strings.Count(progress, "\n") > 30 {
					t.Errorf("the progress has %d lines", strings.Count(progress, "\n"))
				}
				if console := read("dev/console"); (name == "good") != (console == "") {
					t.Errorf("on the console: %q", console)
				}
				if left, err := os.ReadDir(filepath.Join(root, "var", "tmp")); err != nil || len(left) > 0 {
					t.Errorf("left in /var/tmp: %v, %v", left, err)
				}
			})
		}
	}
}
