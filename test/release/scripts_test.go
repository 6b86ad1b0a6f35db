package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// packaging is where the packages' scripts are.
var packaging = filepath.Join("..", "..", "dispatcher", "packaging")

// TestScriptsDoNothingWithoutSystemd: in a chroot, where images are built, a package is installed with no systemd running.
// They may not fail, which would leave the package half installed.
func TestScriptsDoNothingWithoutSystemd(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		t.Log("systemd runs here; make release-test shows what the scripts do then")
		return
	}
	for script, cases := range map[string][]string{
		"postinstall.sh": {"configure", "configure 1.0", "1", "2", "abort-upgrade"},
		"preremove.sh":   {"remove", "upgrade 2.0", "0", "1"},
		"postremove.sh":  {"remove", "upgrade", "0", "1"}, // not purge, which acts on this machine
	} {
		for _, args := range cases {
			cmd := exec.CommandContext(t.Context(), "sh", append([]string{filepath.Join(packaging, script)}, strings.Fields(args)...)...)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s %s: %v %s", script, args, err, out)
			}
		}
	}
}

// systemctlCalls runs a script as if systemd ran, with a systemctl that only notes what it was called with.
func systemctlCalls(t *testing.T, script string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	notes := filepath.Join(dir, "notes")
	fake := "#!/bin/sh\necho \"$*\" >>" + notes + "\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(fake), 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(packaging, script))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "/run/systemd/system") {
		t.Fatalf("%s doesn't ask whether systemd runs", script)
	}
	here := filepath.Join(dir, script)
	if err := os.WriteFile(here, []byte(strings.ReplaceAll(string(text), "/run/systemd/system", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{here}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", script, args, err, out)
	}
	called, err := os.ReadFile(notes)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(called)), "\n", "; ")
}

func TestUpgradeRestartsAndRemovalStops(t *testing.T) {
	const reload, restart, stop = "daemon-reload", "daemon-reload; try-restart mayfly.service", "disable --now --no-reload mayfly.service"
	for _, c := range []struct{ what, script, args, want string }{
		{"deb, first installation", "postinstall.sh", "configure", reload},
		{"deb, upgrade", "postinstall.sh", "configure 1.0", restart},
		{"deb, the new version's script fails", "postinstall.sh", "abort-upgrade 2.0", reload},
		{"rpm, first installation", "postinstall.sh", "1", reload},
		{"rpm, upgrade", "postinstall.sh", "2", restart},
		{"deb, before an upgrade", "preremove.sh", "upgrade 2.0", ""},
		{"deb, removal", "preremove.sh", "remove", stop},
		{"rpm, the old version of an upgrade", "preremove.sh", "1", ""},
		{"rpm, removal", "preremove.sh", "0", stop},
		{"deb, after removal", "postremove.sh", "remove", reload},
		{"rpm, after removal", "postremove.sh", "0", reload},
	} {
		if got := systemctlCalls(t, c.script, strings.Fields(c.args)...); got != c.want {
			t.Errorf("%s: systemctl %s; want %s", c.what, got, c.want)
		}
	}
}
