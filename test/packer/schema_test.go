//go:build schema

package packer

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/zclconf/go-cty/cty"

	"mayfly/internal/cloudinit"
	"mayfly/internal/runner"
)

// cloudInit is the path of the distribution's cloud-init.
func cloudInit(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "scripts", "cloud-init.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("find cloud-init: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// schema asks cloud-init what it thinks of user-data.
func schema(t *testing.T, program, text string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "user-data")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "schema", "--config-file", path).CombinedOutput()
	return string(out), err
}

// userData is the runners' user-data with an identity in it.
func userData(t *testing.T, v cloudinit.Values) string {
	t.Helper()
	path := filepath.Join(runners, "ubuntu-2204", "cloud-init", "runner-user-data.pkrtpl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	template, err := cloudinit.Parse(path, string(text))
	if err != nil {
		t.Fatal(err)
	}
	v.RepoURL, v.Labels, v.Name, v.User, v.Pool = "https://github.com/NREL/EnergyPlus", []string{"energyplus", "linux"}, "ep-0123456789", "runner", "ep"
	v.Jobs = runner.Policy{Events: []string{"push"}}
	filled, err := template.Render(v)
	if err != nil {
		t.Fatal(err)
	}
	return filled.Reveal()
}

func TestCloudInitTakesAllUserData(t *testing.T) {
	program := cloudInit(t)
	all := map[string]string{
		"runner with JIT config": userData(t, cloudinit.Values{JITConfig: runner.NewSecret("eyJhIjoiYiJ9")}),
		"runner with token":      userData(t, cloudinit.Values{RegistrationToken: runner.NewSecret("ABCDEFGHIJ")}),
	}
	for _, image := range images {
		all["installer of "+image] = load(t, image).disc("user-data", given())
		values := given()
		values["http_proxy"] = cty.StringVal("http://proxy.example.org:3128")
		all["installer behind a proxy of "+image] = load(t, image).disc("user-data", values)
	}
	for name, text := range all {
		if out, err := schema(t, program, text); err != nil || !strings.Contains(out, "Valid") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	if out, err := schema(t, program, "#cloud-config\nruncmd: reboot\n"); err == nil {
		t.Errorf("a wrong one passes: %s", out)
	}
	// One of ours, broken in one place.
	broken := strings.Replace(all["runner with token"], "write_files:", "write_files: {}\nruncmd2:", 1)
	if out, err := schema(t, program, broken); err == nil {
		t.Errorf("ours passes when it is broken: %s", out)
	}
}

// TestShellInsideOfDataIsSound gives shellcheck what no file of its own holds.
func TestShellInsideOfDataIsSound(t *testing.T) {
	var data struct {
		RunCmd [][]string `yaml:"runcmd"`
	}
	if err := yaml.Unmarshal([]byte(userData(t, cloudinit.Values{RegistrationToken: runner.NewSecret("ABCDEFGHIJ")})), &data); err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{}
	for _, command := range data.RunCmd {
		if len(command) > 2 && command[0] == "/bin/sh" && command[1] == "-c" {
			scripts["user-data of runners"] = command[2]
		}
	}
	if len(scripts) == 0 {
		t.Fatal("no shell in the user-data of runners: the test looks in the wrong place")
	}
	for _, image := range images {
		answers := load(t, image).answers(given())
		for _, key := range []string{"early-commands", "late-commands"} {
			lines, ok := answers[key].([]any)
			if !ok || len(lines) == 0 {
				t.Errorf("%s: no %s", image, key)
			}
			for _, line := range lines {
				command, _ := line.(string)
				scripts[image+": "+command] = command + "\n"
			}
		}
	}
	for name, script := range scripts {
		cmd := exec.CommandContext(t.Context(), "shellcheck", "--shell=sh", "-")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
