package common_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	goyaml "github.com/goccy/go-yaml"

	"mayfly/runners"
)

// TestShippedUserDataTellsThePolicyToImagesThatKnowIt runs the command of the shipped user-data with a stand-in of
// run-once.sh that writes down how it is called.
func TestShippedUserDataTellsThePolicyToImagesThatKnowIt(t *testing.T) {
	var data struct {
		Runcmd [][]string `yaml:"runcmd"`
	}
	if err := goyaml.Unmarshal([]byte(runners.UserDataTemplate), &data); err != nil {
		t.Fatal(err)
	}
	command := data.Runcmd[0]
	policy := []string{"--pool", "ep", "--repository", "NREL/EnergyPlus,NREL/x", "--events", "", "--forks", "deny"}
	for name, tc := range map[string]struct {
		version, file string
		want          []string
	}{
		"contract 1, JIT":    {"run-once 1 (contract 1)", "jit", []string{"--user", "ci", "--jit", "ep-1"}},
		"contract 1, token":  {"run-once 1 (contract 1)", "token", []string{"--user", "ci", "--token", "https://github.com/NREL/EnergyPlus", "linux,x 64", "ep-1"}},
		"contract 2, JIT":    {"run-once 2 (contract 2)", "jit", slices.Concat([]string{"--user", "ci"}, policy, []string{"--jit", "ep-1"})},
		"contract 12, token": {"run-once 12 (contract 12)", "token", slices.Concat([]string{"--user", "ci"}, policy, []string{"--token", "https://github.com/NREL/EnergyPlus", "linux,x 64", "ep-1"})},
	} {
		t.Run(name, func(t *testing.T) {
			inEveryShell(t, func(t *testing.T, b *sandbox) {
				b.write("opt/actions-runner/run-once.sh", `#!/bin/sh
root=${0%/opt/actions-runner/run-once.sh}
if [ "$1" = --version ]; then echo "`+tc.version+`"; exit 0; fi
printf '%s\n' "$@" >"$root/record/args"
cat >"$root/record/stdin"
`, 0o755)
				b.write("run/mayfly-seed/jit", "", 0o600)
				b.write("run/mayfly-seed/token", "", 0o600)
				b.write("run/mayfly-seed/"+tc.file, "IDENTITY", 0o600)
				script := command[2]
				for _, dir := range []string{"/opt/", "/run/", "/var/"} {
					script = strings.ReplaceAll(script, dir, b.root+dir)
				}
				words := slices.Concat(b.shell, []string{"-c", script, command[3], "ci", "https://github.com/NREL/EnergyPlus", "linux,x 64", "ep-1", "ep", "NREL/EnergyPlus,NREL/x", "", "deny"})
				cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
				cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					t.Fatalf("%v: %s", err, out)
				}
				if got := strings.Split(strings.TrimSuffix(b.read("record/args"), "\n"), "\n"); !slices.Equal(got, tc.want) {
					t.Errorf("called with %q, want %q", got, tc.want)
				}
				if b.read("record/stdin") != "IDENTITY" || b.exists("run/mayfly-seed") {
					t.Error("the identity wasn't given, or stays")
				}
			})
		})
	}
}
