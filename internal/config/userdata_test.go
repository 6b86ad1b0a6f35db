package config_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	goyaml "github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"mayfly/internal/config"
	"mayfly/runners"
)

func TestUserDataIsTheFileOrTheShippedOne(t *testing.T) {
	shipped, err := os.ReadFile("../../runners/ubuntu-2204/cloud-init/runner-user-data.pkrtpl")
	if err != nil {
		t.Fatal(err)
	}
	c := defaults()
	t.Chdir(t.TempDir())
	if text, from, err := c.UserData(); err != nil || text != string(shipped) || from != "inside the binary" {
		t.Errorf("the default, which isn't here: from %s, %v", from, err)
	}
	c.UserDataTemplate = write(t, "mine.pkrtpl", "mine", 0o600)
	if text, from, err := c.UserData(); err != nil || text != "mine" || from != c.UserDataTemplate {
		t.Errorf("a file of one's own: %q from %s, %v", text, from, err)
	}
	c.UserDataTemplate = "nowhere"
	if _, _, err := c.UserData(); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a file that isn't there: %v", err)
	}
	if _, _, err := config.Load(config.LoadOptions{Env: environ(required())}); err != nil {
		t.Errorf("the environment alone, away from the checkout: %v", err)
	}
}

func TestUserDataThatKeepsNoPolicyIsWarnedOf(t *testing.T) {
	const head = "#cloud-config\nwrite_files:\n  - {path: /run/id, permissions: '0600', content: \"${jit_config}\"}\nruncmd:\n"
	const call = `  - [sh, -c, '/opt/actions-runner/run-once.sh "$@" </run/id', x, `
	for text, warned := range map[string]bool{
		head + call + "--jit, \"${runner_name}\"]\n": true,
		head + call + "--forks, \"${jobs_forks}\", --jit, \"${runner_name}\"]\n# ${jobs_events} ${jobs_repositories}\n":                                true,
		head + call + "--repository, \"${jobs_repositories}\", --events, \"${jobs_events}\", --forks, \"${jobs_forks}\", --jit, \"${runner_name}\"]\n": false,
		runners.UserDataTemplate: false,
	} {
		vars := required()
		vars["SNIPPETS_DIR"], vars["USER_DATA_TEMPLATE"] = "/srv/snippets", write(t, "mine.pkrtpl", text, 0o600)
		c, _, err := config.Load(config.LoadOptions{Env: environ(vars), Overrides: []config.Override{{Flag: "--handoff", Path: "handoff", Value: "snippet"}}})
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(c.Warnings, func(w config.Warning) bool { return strings.Contains(w.String(), "${jobs_forks}") })
		if told != warned {
			t.Errorf("warned %v, want %v: %v", told, warned, c.Warnings)
		}
	}
}

// TestShippedUserDataIsCloudConfig fills the template in and reads it as cloud-init does.
func TestShippedUserDataIsCloudConfig(t *testing.T) {
	text := runners.UserDataTemplate
	values := map[string]string{
		"repo_url": "https://github.com/NREL/EnergyPlus", "registration_token": "", "runner_labels": "energyplus,linux",
		"runner_name": "ep-0123456789", "runner_user": "runner", "jit_config": "eyJhIjoiYiJ9",
		"pool_name": "energyplus", "jobs_repositories": "NREL/EnergyPlus", "jobs_events": "", "jobs_forks": "deny",
	}
	found := map[string]bool{}
	filled := regexp.MustCompile(`\$\{([^}]*)\}`).ReplaceAllStringFunc(text, func(v string) string {
		name := strings.Trim(v, "${}")
		if _, known := values[name]; !known {
			t.Errorf("the template has %s, which nobody fills in", v)
		}
		found[name] = true
		return values[name]
	})
	if len(found) != len(values) {
		t.Errorf("the template uses %v, want all of %v", slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(values)))
	}
	if strings.Contains(text, "%{") {
		t.Error("the template has %{, which begins a directive in a Packer template")
	}
	if !strings.HasPrefix(text, "#cloud-config\n") {
		t.Error("the first line must be #cloud-config")
	}
	var data struct {
		Hostname   string `yaml:"hostname"`
		WriteFiles []struct {
			Path        string `yaml:"path"`
			Permissions string `yaml:"permissions"`
			Content     string `yaml:"content"`
		} `yaml:"write_files"`
		Runcmd [][]string `yaml:"runcmd"`
	}
	if err := goyaml.Unmarshal([]byte(filled), &data); err != nil {
		t.Fatal(err)
	}
	if data.Hostname != values["runner_name"] {
		t.Errorf("hostname %q", data.Hostname)
	}
	contents := map[string]string{}
	for _, f := range data.WriteFiles {
		contents[f.Path] = f.Content
		if f.Permissions != "0600" || !strings.HasPrefix(f.Path, "/run/") {
			t.Errorf("%s has permissions %s: secrets belong into memory, for root alone", f.Path, f.Permissions)
		}
	}
	want := map[string]string{"/run/mayfly-seed/jit": values["jit_config"], "/run/mayfly-seed/token": ""}
	if diff := cmp.Diff(want, contents); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if len(data.Runcmd) != 1 || len(data.Runcmd[0]) != 12 {
		t.Fatalf("commands %q", data.Runcmd)
	}
	if got := data.Runcmd[0][4:]; !slices.Equal(got, []string{"runner", values["repo_url"], values["runner_labels"], values["runner_name"], "energyplus", "NREL/EnergyPlus", "", "deny"}) {
		t.Errorf("arguments %q", got)
	}
	if strings.Contains(strings.Join(data.Runcmd[0], " "), values["jit_config"]) {
		t.Error("the identity is in a command line")
	}
}
