package config_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mayfly/internal/config"
	"mayfly/internal/runner"
)

// required is the least that an environment must say.
func required() map[string]string {
	return map[string]string{
		"PROXMOX_URL": "https://pve1:8006/api2/json", "PROXMOX_NODE": "pve1", "PROXMOX_TOKEN_ID": "mayfly@pve!dispatcher",
		"PROXMOX_TOKEN_SECRET": "pve-secret", "GITHUB_TOKEN": "gh-secret",
	}
}

func environ(vars map[string]string) []string {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, name+"="+vars[name])
	}
	return env
}

// defaults is what the five required variables alone mean.
func defaults() *config.Config {
	return &config.Config{
		Installation: "energyplus-runner-200",
		Proxmox: config.Proxmox{
			Endpoints: []string{"https://pve1:8006"}, Node: "pve1", TokenID: "mayfly@pve!dispatcher",
			TokenSecret: runner.NewSecret("pve-secret"), Storage: "local",
		},
		GitHub:     config.GitHub{APIURL: "https://api.github.com", Token: runner.NewSecret("gh-secret"), Pace: time.Second},
		VMIDs:      config.VMIDRange{Start: 200, End: 299},
		NamePrefix: "energyplus-runner", MaxRunners: 1, PollInterval: 15 * time.Second, Handoff: "agent",
		Web: config.Web{Listen: "127.0.0.1:9180"}, Log: config.Log{Level: "info", Format: "text"},
		UserDataTemplate: "runners/ubuntu-2204/cloud-init/runner-user-data.pkrtpl",
		Placement: config.Placement{
			Strategy: "spread", MemoryReserve: 2 * runner.GiB, LinkedGrowth: 5 * runner.GiB, StorageReserve: 5 * runner.GiB,
			MemoryPercent: 100, CPUPercent: 400, NodeTasks: 4, StorageTasks: 4,
		},
		Image: config.Image{
			VMIDs: config.VMIDRange{Start: 9000, End: 9099}, Storage: "local-lvm", Bridge: "vmbr0", Cores: 2, Memory: 4 * runner.GiB,
			Disk: 20 * runner.GiB, Keep: 2, Timeout: time.Hour, Fetch: "auto",
		},
		Bootstrap: config.Bootstrap{
			Hostname: "mayfly", Storage: "local-lvm", Bridge: "vmbr0", Cores: 1, Memory: 512 * runner.MiB, Disk: 4 * runner.GiB,
			TemplateStorage: "local", IP: "dhcp",
		},
		Lease: config.Lease{Mapping: "mayfly", TTL: 30 * time.Second},
		Pools: []runner.Pool{{
			Name: "energyplus", Target: runner.Target{Owner: "NREL", Repo: "EnergyPlus"},
			Labels: []string{"energyplus", "linux", "x64", "ubuntu-22.04"}, GroupID: 1, NamePrefix: "energyplus-runner",
			Jobs:     runner.Policy{Repositories: []runner.Target{{Owner: "NREL", Repo: "EnergyPlus"}}, DenyForks: true},
			Template: "ubuntu-2204-runner-template", Max: 1, RunnerUser: "runner",
			BootTimeout: 5 * time.Minute, IdleTimeout: 10 * time.Minute, MaxJobDuration: 6 * time.Hour, TimeZone: "UTC", SpareMaxAge: 24 * time.Hour,
		}},
	}
}

// same compares configurations with their secrets, without their warnings.
func same(want, got *config.Config) string {
	return cmp.Diff(want, got, cmpopts.IgnoreFields(config.Config{}, "Warnings"),
		cmp.Comparer(func(a, b runner.Secret) bool { return a.Reveal() == b.Reveal() }))
}

// print64 is a SHA-256 fingerprint without colons.
var print64 = strings.Repeat("ab", 32)

func TestEachVariableDoesWhatTheOlderDispatcherMeant(t *testing.T) {
	for _, tc := range []struct {
		name, value string
		change      func(*config.Config)
	}{
		{"NOTHING", "", func(*config.Config) {}},
		{"PROXMOX_URL", "http://10.1.1.158:8006/api2/json", func(c *config.Config) { c.Proxmox.Endpoints = []string{"https://10.1.1.158:8006"} }},
		{"PROXMOX_URL", "http://127.0.0.1:18006", func(c *config.Config) { c.Proxmox.Endpoints = []string{"http://127.0.0.1:18006"} }},
		{"PROXMOX_URL", "http://[::1]:18006/api2/json/", func(c *config.Config) { c.Proxmox.Endpoints = []string{"http://[::1]:18006"} }},
		{"PROXMOX_URL", "https://a:8006, https://b:8006/", func(c *config.Config) { c.Proxmox.Endpoints = []string{"https://a:8006", "https://b:8006"} }},
		{"PROXMOX_NODE", "proxmox", func(c *config.Config) { c.Proxmox.Node = "proxmox" }},
		{"PROXMOX_TOKEN_ID", "root@pam!packer", func(c *config.Config) { c.Proxmox.TokenID = "root@pam!packer" }},
		{"PROXMOX_TOKEN_SECRET", "other", func(c *config.Config) { c.Proxmox.TokenSecret = runner.NewSecret("other") }},
		{"GITHUB_TOKEN", "github_pat_x\r", func(c *config.Config) { c.GitHub.Token = runner.NewSecret("github_pat_x") }},
		{"PROXMOX_STORAGE", "nfs", func(c *config.Config) { c.Proxmox.Storage = "nfs" }},
		{"PROXMOX_VERIFY_SSL", "false", func(*config.Config) {}},
		{"PROXMOX_VERIFY_SSL", "True", func(c *config.Config) { c.Proxmox.VerifyTLS = true }},
		{"PROXMOX_VERIFY_SSL", "1", func(c *config.Config) { c.Proxmox.VerifyTLS = true }},
		{"PROXMOX_FINGERPRINT", print64, func(c *config.Config) {
			c.Proxmox.Fingerprint = strings.TrimSuffix(strings.Repeat("AB:", 32), ":")
			c.Proxmox.VerifyTLS = true
		}},
		{"PROXMOX_NODES", "pve1, pve2", func(c *config.Config) { c.Proxmox.Nodes = []string{"pve1", "pve2"} }},
		{"PLACEMENT_STRATEGY", "pack", func(c *config.Config) { c.Placement.Strategy = "pack" }},
		{"PROXMOX_POOL", "ci", func(c *config.Config) { c.Proxmox.ResourcePool = "ci" }},
		{"TEMPLATE_NAME", "tmpl", func(c *config.Config) { c.Pools[0].Template = "tmpl" }},
		{"TEMPLATE_IMAGE", "debian-12", func(c *config.Config) { c.Pools[0].Template, c.Pools[0].Image = "", "debian-12" }},
		{"RUNNER_ID_START", "250", func(c *config.Config) { c.VMIDs.Start = 250; c.Installation = "energyplus-runner-250" }},
		{"RUNNER_ID_END", "200", func(c *config.Config) { c.VMIDs.End = 200 }},
		{"RUNNER_NAME_PREFIX", "EP", func(c *config.Config) {
			c.NamePrefix, c.Pools[0].NamePrefix, c.Installation = "EP", "EP", "ep-200"
		}},
		{"REPO_OWNER", "Me", func(c *config.Config) { c.Pools[0].Target.Owner = "Me" }},
		{"REPO_NAME", ".GitHub", func(c *config.Config) { c.Pools[0].Target.Repo = ".GitHub"; c.Pools[0].Name = "github" }},
		{"REPO_URL", "https://github.com/Me/Tool.git", func(c *config.Config) {
			c.Pools[0].Target, c.Pools[0].Name = runner.Target{Owner: "Me", Repo: "Tool"}, "tool"
		}},
		{"REPO_URL", "https://ghes.example.org/Me/Tool/", func(c *config.Config) {
			c.Pools[0].Target, c.Pools[0].Name = runner.Target{Owner: "Me", Repo: "Tool"}, "tool"
			c.GitHub.APIURL = "https://ghes.example.org/api/v3"
		}},
		{"REPO_URL", "https://octo.ghe.com/Me/Tool", func(c *config.Config) {
			c.Pools[0].Target, c.Pools[0].Name = runner.Target{Owner: "Me", Repo: "Tool"}, "tool"
			c.GitHub.APIURL = "https://api.octo.ghe.com"
		}},
		{"RUNNER_LABELS", " a, B ,,c", func(c *config.Config) { c.Pools[0].Labels = []string{"a", "B", "c"} }},
		{"RUNNER_FORKS", "allow", func(c *config.Config) { c.Pools[0].Jobs.DenyForks = false }},
		{"RUNNER_EVENTS", "push, schedule", func(c *config.Config) { c.Pools[0].Jobs.Events = []string{"push", "schedule"} }},
		{"RUNNER_USER", "ci", func(c *config.Config) { c.Pools[0].RunnerUser = "ci" }},
		{"POLL_INTERVAL", "30", func(c *config.Config) { c.PollInterval = 30 * time.Second }},
		{"POLL_INTERVAL", "1m30s", func(c *config.Config) { c.PollInterval = 90 * time.Second }},
		{"MAX_TOTAL_RUNNERS", "7", func(c *config.Config) { c.MaxRunners, c.Pools[0].Max = 7, 7 }},
		{"GITHUB_API_URL", "http://127.0.0.1:8080/api/v3/", func(c *config.Config) { c.GitHub.APIURL = "http://127.0.0.1:8080/api/v3" }},
		{"GITHUB_API_URL", "http://ghes.example.org/api/v3", func(c *config.Config) { c.GitHub.APIURL = "https://ghes.example.org/api/v3" }},
		{"CT_ID", "1000", func(c *config.Config) { c.Bootstrap.ID = 1000 }},
		{"CT_HOSTNAME", "ci", func(c *config.Config) { c.Bootstrap.Hostname = "ci" }},
		{"CT_STORAGE", "ssd", func(c *config.Config) { c.Bootstrap.Storage = "ssd" }},
		{"CT_BRIDGE", "vmbr1", func(c *config.Config) { c.Bootstrap.Bridge = "vmbr1" }},
		{"CT_CORES", "2", func(c *config.Config) { c.Bootstrap.Cores = 2 }},
		{"CT_MEMORY", "1GiB", func(c *config.Config) { c.Bootstrap.Memory = runner.GiB }},
		{"CT_DISK", "8GiB", func(c *config.Config) { c.Bootstrap.Disk = 8 * runner.GiB }},
		{"CT_TEMPLATE", "d.tar.zst", func(c *config.Config) { c.Bootstrap.Template = "d.tar.zst" }},
		{"CT_TEMPLATE_URL", "https://mirror.example/d.tar.zst", func(c *config.Config) { c.Bootstrap.TemplateURL = "https://mirror.example/d.tar.zst" }},
		{"CT_TEMPLATE_STORAGE", "nfs", func(c *config.Config) { c.Bootstrap.TemplateStorage = "nfs" }},
		{"CT_IP", "192.0.2.5/24", func(c *config.Config) { c.Bootstrap.IP = "192.0.2.5/24" }},
		{"USER_DATA_TEMPLATE", "x.tpl", func(c *config.Config) { c.UserDataTemplate = "x.tpl" }},
		{"SNIPPETS_DIR", "/mnt/snippets", func(c *config.Config) { c.SnippetsDir = "/mnt/snippets" }},
	} {
		t.Run(tc.name+"="+tc.value, func(t *testing.T) {
			want := defaults()
			tc.change(want)
			want.Pools[0].Jobs.Repositories = []runner.Target{want.Pools[0].Target}
			vars := required()
			vars[tc.name] = tc.value
			got, origins, err := config.Load(config.LoadOptions{Env: environ(vars)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := same(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			// The same from an env file, as a user would write it for `source`.
			var text strings.Builder
			for name, value := range vars {
				fmt.Fprintf(&text, "export %s='%s'\n", name, value)
			}
			got, _, err = config.Load(config.LoadOptions{EnvFile: "x.env", ReadFile: one("x.env", text.String())})
			if err != nil {
				t.Fatal(err)
			}
			if diff := same(want, got); diff != "" {
				t.Errorf("from an env file (-want +got):\n%s", diff)
			}
			for _, path := range origins.Paths() {
				if origins[path].String() == "" {
					t.Errorf("%s came from nowhere", path)
				}
			}
		})
	}
}

// one is a file system with one file.
func one(path, text string) func(string) ([]byte, error) {
	return input{map[string][]byte{path: []byte(text)}}.read
}

func TestTheShippedExampleNamesEveryVariable(t *testing.T) {
	const path = "../../dispatcher/dispatcher.env.example"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reference, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if line != "" && line[0] != '#' && !strings.HasPrefix(line, "export ") {
			t.Errorf("line %q needs `export`: source alone must be enough", line)
		}
	}
	for row := range strings.Lines(string(reference)) {
		name, ok := strings.CutPrefix(row, "| `")
		if name, _, _ = strings.Cut(name, "`"); ok && name == strings.ToUpper(name) && !strings.Contains(string(text), name) {
			t.Errorf("%s is not in the example", name)
		}
	}
	vars := map[string]string{"PROXMOX_TOKEN_SECRET": "pve-secret", "GITHUB_TOKEN": "gh-secret"}
	got, _, err := config.Load(config.LoadOptions{EnvFile: path, Env: environ(vars)})
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Proxmox.Endpoints = []string{"https://pve1.example.org:8006"}
	if diff := same(want, got); diff != "" {
		t.Errorf("the example isn't the defaults (-want +got):\n%s", diff)
	}
	for _, w := range got.Warnings {
		if w.Path != "proxmox.verify_tls" {
			t.Errorf("warning: %s", w)
		}
	}

	// source alone must give the same environment.
	out, err := exec.Command("sh", "-c", ". "+path+" && env").Output()
	if err != nil {
		t.Fatal(err)
	}
	vars = map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok && strings.Contains(string(text), name+"=") {
			vars[name] = value
		}
	}
	vars["PROXMOX_TOKEN_SECRET"], vars["GITHUB_TOKEN"] = "pve-secret", "gh-secret"
	sourced, _, err := config.Load(config.LoadOptions{Env: environ(vars)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := same(got, sourced); diff != "" {
		t.Errorf("sourced it differs (-read +sourced):\n%s", diff)
	}
}

// TestTheReferencesExampleIsAConfiguration loads the mayfly.yaml that docs/configuration.md shows.
func TestTheReferencesExampleIsAConfiguration(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the reference shows no mayfly.yaml")
	}
	if verdict := schemaVerdict(compileSchema(t), []byte(text)); verdict != "accepts\n" {
		t.Errorf("the schema %s", verdict)
	}
	ca, err := os.ReadFile("testdata/golden/good-full.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"mayfly.yaml": []byte(text), "/etc/mayfly/proxmox.secret": []byte("pve-secret\n"), "/etc/mayfly/github.token": []byte("gh-secret\n"),
		"/etc/mayfly/pve-root-ca.pem": ca,
	}
	got, _, err := config.Load(input{files}.options())
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Proxmox.Endpoints = []string{"https://pve1.example.org:8006"}
	want.Proxmox.CAFile, want.Proxmox.VerifyTLS = "/etc/mayfly/pve-root-ca.pem", true
	if diff := same(want, got); diff != "" || len(got.Warnings) > 0 {
		t.Errorf("warnings %v (-want +got):\n%s", got.Warnings, diff)
	}
}
