package guides

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"mayfly/internal/config"
)

var (
	variableRow = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| `([^`]+)`")
	// variableForm are names that look like the configuration's.
	variableForm = regexp.MustCompile(`\b(?:PROXMOX|RUNNER|REPO|TEMPLATE|GITHUB|CT|MAX|POLL|SNIPPETS|USER_DATA)_[A-Z_]*[A-Z]\b`)
	yamlBox      = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	indentedBox  = regexp.MustCompile("(?s)\n( +)```yaml\n(.*?)\n *```")
)

// others are variables that something else than the dispatcher reads.
var others = map[string]string{
	"GITHUB_REPOSITORY": "GitHub's runner gives it to jobs", "GITHUB_EVENT_NAME": "the same", "GITHUB_EVENT_PATH": "the same", "GITHUB_WORKSPACE": "the same",
	"GITHUB_ENV": "the same", "GITHUB_TOKEN": "the dispatcher's, and a job's",
	"RUNNER_SHA": "a piece of RUNNER_SHA256", "RUNNER_VERSION": "the provisioning scripts", "RUNNER_SUDO": "the same", "RUNNER_RELEASED": "the same", "RUNNER_URL": "the same",
	"RUNNER_USER": "the dispatcher's, and the scripts'", "RUNNER_ALLOW_RUNASROOT": "run-once.sh and GitHub's runner", "RUNNER_TEMP": "GitHub's runner",
	"RUNNER_WAIT_FOR_DOCKER_IN_SECONDS": "GitHub's runner", "PROXMOX_SETUP": "a file's name", "RUNNER_TOOL_CACHE": "GitHub's runner",
}

// knownVariables are those of the generated reference, each with its key.
func knownVariables(t *testing.T) map[string]string {
	t.Helper()
	known := map[string]string{}
	for _, m := range variableRow.FindAllStringSubmatch(guide(t, "docs/configuration.md"), -1) {
		known[m[1]] = m[2]
	}
	if len(known) < 25 {
		t.Fatalf("the reference names %d variables, want 25 at least", len(known))
	}
	return known
}

func TestEveryVariableIsRead(t *testing.T) {
	known := knownVariables(t)
	for _, name := range guides(t) {
		for _, v := range variableForm.FindAllString(guide(t, name), -1) {
			if known[v] == "" && others[v] == "" && !strings.HasPrefix(v, "CT_") {
				t.Errorf("%s names the variable %s, which nothing reads", name, v)
			}
		}
	}
}

func TestTheDispatchersPageKnowsEveryVariableOfTheOldLayout(t *testing.T) {
	text := guide(t, "dispatcher/README.md")
	for _, v := range []string{
		"PROXMOX_URL", "PROXMOX_NODE", "PROXMOX_TOKEN_ID", "PROXMOX_TOKEN_SECRET", "GITHUB_TOKEN", "PROXMOX_STORAGE", "PROXMOX_VERIFY_SSL", "TEMPLATE_NAME",
		"RUNNER_ID_START", "RUNNER_ID_END", "RUNNER_NAME_PREFIX", "REPO_OWNER", "REPO_NAME", "REPO_URL", "RUNNER_LABELS", "POLL_INTERVAL", "USER_DATA_TEMPLATE", "CT_TEMPLATE_URL",
	} {
		if !strings.Contains(text, "`"+v+"`") {
			t.Errorf("dispatcher/README.md doesn't say what became of %s", v)
		}
	}
}

// least is a configuration without pools, to which a guide's piece of mayfly.yaml is added.
var least = []string{"PROXMOX_URL=https://pve1:8006", "PROXMOX_NODE=pve1", "PROXMOX_TOKEN_ID=mayfly@pve!dispatcher", "PROXMOX_TOKEN_SECRET=" + secretOf(oldProxmox), "GITHUB_TOKEN=x", "PROXMOX_VERIFY_SSL=true"}

// TestEveryPieceOfYAMLIsRight parses each, and lets the configuration judge those that are pieces of mayfly.yaml.
func TestEveryPieceOfYAMLIsRight(t *testing.T) {
	pieces, ours := 0, 0
	for _, name := range guides(t) {
		text := guide(t, name)
		for _, piece := range yamlPieces(text) {
			pieces++
			var top map[string]any
			if err := yaml.Unmarshal([]byte(piece), &top); err != nil {
				t.Errorf("%s: %v in:\n%s", name, err, piece)
				continue
			}
			if top["proxmox"] == nil && top["pools"] == nil && top["image"] == nil && top["web"] == nil && top["log"] == nil && top["lease"] == nil {
				if !slices.ContainsFunc([]string{"jobs", "permissions", "env", "runs-on", "scrape_configs"}, func(key string) bool { return top[key] != nil }) {
					t.Errorf("%s: neither a piece of mayfly.yaml nor of a workflow or Prometheus:\n%s", name, piece)
				}
				continue
			}
			ours++
			judge(t, name, piece, top)
		}
	}
	if pieces < 7 || ours < 2 {
		t.Errorf("checked %d pieces, %d of mayfly.yaml, want 7 and 2 at least", pieces, ours)
	}
}

// yamlPieces are the boxes of YAML, without the indent of a list that they stand in.
func yamlPieces(text string) []string {
	var all []string
	for _, m := range indentedBox.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.ReplaceAll("\n"+m[2], "\n"+m[1], "\n"))
	}
	for _, m := range yamlBox.FindAllStringSubmatch(indentedBox.ReplaceAllString(text, ""), -1) {
		all = append(all, m[1])
	}
	return all
}

// judge loads a piece as mayfly.yaml; what a whole one needs beside comes from the environment.
func judge(t *testing.T, name, piece string, top map[string]any) {
	t.Helper()
	if top["pools"] == nil {
		piece += "\npools:\n  - {name: a, target: a/b, labels: [a]}\n"
	}
	files := map[string]string{"mayfly.yaml": piece}
	_, _, err := config.Load(config.LoadOptions{File: "mayfly.yaml", Env: least, ReadFile: func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		if strings.HasSuffix(path, ".pem") || strings.HasSuffix(path, ".token") || strings.HasSuffix(path, ".secret") {
			return []byte("secret"), nil
		}
		return nil, fmt.Errorf("open %s: no such file", path)
	}})
	var problems config.Problems
	switch p := err.(type) { //nolint:errorlint // Load returns Problems as they are
	case nil:
	case config.Problems:
		problems = p
	default:
		t.Errorf("%s: %v", name, err)
	}
	for _, p := range problems {
		if p.Path != "proxmox.ca_file" { // the file isn't there
			t.Errorf("%s: %v in:\n%s", name, p, piece)
		}
	}
}

// imageForm is the name of an image that a pool shall follow, in the midst of a sentence.
var imageForm = regexp.MustCompile("`image: ([^`…]+)`|TEMPLATE_IMAGE=([^`\\s]+)")

func TestPoolsMayFollowTheImagesThatGuidesName(t *testing.T) {
	checked := 0
	for _, name := range guides(t) {
		for _, m := range imageForm.FindAllStringSubmatch(guide(t, name), -1) {
			checked++
			judge(t, name, "pools:\n  - {name: a, target: a/b, labels: [a], image: "+m[1]+m[2]+"}\n", map[string]any{"pools": true})
		}
	}
	if checked < 3 {
		t.Errorf("checked %d names, want 3 at least", checked)
	}
}

func TestPiecesOfYAMLAreFoundInLists(t *testing.T) {
	got := yamlPieces("a\n\n   ```yaml\n   a:\n     b: 1\n   ```\n\n```yaml\nc: 2\n```\n")
	if want := []string{"\na:\n  b: 1", "c: 2\n"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
