package packer

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// required are what everybody has to set: the guide's words.
var required = []string{"proxmox_node", "proxmox_token", "proxmox_url", "proxmox_username", "ssh_password", "ssh_password_hash"}

// secret are those that must never show.
var secret = []string{"proxmox_token", "ssh_password", "ssh_password_hash"}

// uses are the variables or locals (root "var" or "local") that a body's expressions name.
func uses(body *hclsyntax.Body, root string, found map[string]hcl.Range) {
	for _, attribute := range body.Attributes {
		for _, traversal := range attribute.Expr.Variables() {
			if traversal.RootName() != root || len(traversal) < 2 {
				continue
			}
			if name, ok := traversal[1].(hcl.TraverseAttr); ok {
				found[name.Name] = traversal.SourceRange()
			}
		}
	}
	for _, block := range body.Blocks {
		if block.Type != "variable" { // its validation is no use
			uses(block.Body, root, found)
		}
	}
}

func TestEachVariableIsDeclaredAndUsed(t *testing.T) {
	inEvery(t, func(t *testing.T, tpl *template) {
		for root, declared := range map[string][]string{
			"var": slices.Collect(maps.Keys(tpl.variables)), "local": slices.Collect(maps.Keys(tpl.locals)),
		} {
			used := map[string]hcl.Range{}
			uses(tpl.body, root, used)
			for name, at := range used {
				if !slices.Contains(declared, name) {
					t.Errorf("%s: %s.%s is not declared", at, root, name)
				}
			}
			for _, name := range declared {
				if _, ok := used[name]; !ok {
					t.Errorf("%s: nothing uses %s.%s", tpl.path, root, name)
				}
			}
			if len(used) == 0 {
				t.Errorf("no %s found: the test looks in the wrong place", root)
			}
		}
	})
}

func TestOnlyWhatNobodyElseKnowsIsRequired(t *testing.T) {
	inEvery(t, func(t *testing.T, tpl *template) {
		var without, sensitive []string
		for name, block := range tpl.variables {
			if block.Body.Attributes["description"] == nil || block.Body.Attributes["type"] == nil {
				t.Errorf("variable %s has no type or no description", name)
			}
			if block.Body.Attributes["default"] == nil {
				without = append(without, name)
			}
			if block.Body.Attributes["sensitive"] != nil && tpl.argument(block, "sensitive", nil).True() {
				sensitive = append(sensitive, name)
			}
		}
		slices.Sort(without)
		slices.Sort(sensitive)
		if !slices.Equal(without, required) {
			t.Errorf("required are %q, want %q", without, required)
		}
		if !slices.Equal(sensitive, secret) {
			t.Errorf("sensitive are %q, want %q", sensitive, secret)
		}
	})
}

func TestWrongValuesAreRefusedWithWords(t *testing.T) {
	inEvery(t, func(t *testing.T, tpl *template) {
		for name, wrong := range map[string]string{
			"proxmox_url":       "https://pve1.example.org:8006/",
			"proxmox_username":  "mayfly-image@pve",
			"ssh_password_hash": "the password itself",
			"runner_sha256":     "abc",
		} {
			values := given()
			right := tpl.valid(name, values)
			values[name] = cty.StringVal(wrong)
			if !right || tpl.valid(name, values) {
				t.Errorf("%s: a good value passes %v, %q passes %v", name, right, wrong, !right)
			}
		}
	})
}

// valid evaluates a variable's validation.
func (tpl *template) valid(name string, values map[string]cty.Value) bool {
	tpl.t.Helper()
	validation := tpl.only(tpl.variables[name].Body, "validation")
	// Packer wants a whole sentence.
	words := tpl.argument(validation, "error_message", nil).AsString()
	if !regexp.MustCompile(`^[A-Z].*[.]$`).MatchString(words) {
		tpl.t.Errorf("%s: error_message %q: want a capital letter and a full stop", name, words)
	}
	return tpl.argument(validation, "condition", tpl.scope(values)).True()
}

func TestTheExampleHasAllThatIsRequiredAndNoSecret(t *testing.T) {
	inEvery(t, func(t *testing.T, tpl *template) {
		path := filepath.Join(filepath.Dir(tpl.path), "packer.pkrvars.hcl")
		body := parse(t, path)
		if len(body.Blocks) > 0 {
			t.Errorf("%s has blocks", path)
		}
		values := map[string]cty.Value{}
		for name, attribute := range body.Attributes {
			if tpl.variables[name] == nil {
				t.Errorf("%s: there is no variable %s", attribute.SrcRange, name)
			}
			values[name] = tpl.evaluate(attribute.Expr, nil)
		}
		for _, name := range required {
			value, ok := values[name]
			switch {
			case !ok:
				t.Errorf("%s lacks %s", path, name)
			case slices.Contains(secret, name) && !strings.Contains(value.AsString(), "REPLACE-WITH-"):
				t.Errorf("%s: %s looks like a real secret", path, name)
			}
		}
		for _, name := range []string{"proxmox_url", "proxmox_username", "ssh_password_hash"} {
			if !tpl.valid(name, values) {
				t.Errorf("%s: the template refuses its %s", path, name)
			}
		}
		// What is commented out is an example too.
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		offered := regexp.MustCompile(`(?m)^# ([a-z_]+) += `).FindAllStringSubmatch(string(text), -1)
		for _, m := range offered {
			if tpl.variables[m[1]] == nil {
				t.Errorf("%s offers %s, which is no variable", path, m[1])
			}
		}
		if len(offered) == 0 {
			t.Errorf("%s offers nothing", path)
		}
	})
}

func TestTheReadmeTellsEveryVariableWithItsDefault(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(runners, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_0-9]+)` \\|([^|]*)\\|").FindAllStringSubmatch(string(readme), -1) {
		told[m[1]] = strings.Trim(m[2], "` ")
	}
	inEvery(t, func(t *testing.T, tpl *template) {
		for name, block := range tpl.variables {
			got, ok := told[name]
			if !ok {
				t.Errorf("runners/README.md doesn't tell %s", name)
				continue
			}
			if block.Body.Attributes["default"] == nil {
				if got != "required" {
					t.Errorf("runners/README.md: %s is %q, want required", name, got)
				}
				continue
			}
			value := tpl.argument(block, "default", nil)
			want := map[bool]string{true: "true", false: "false"}[value.RawEquals(cty.True)]
			switch {
			case value.Type() == cty.Number:
				want = value.AsBigFloat().Text('f', 0)
			case value.Type() == cty.String:
				want = value.AsString()
			}
			// Defaults with the release's number differ from template to template.
			if strings.Contains(want, "ubuntu") || name == "iso_checksum" {
				continue
			}
			if got != want {
				t.Errorf("runners/README.md: %s is %q, want %q", name, got, want)
			}
		}
		for name := range told {
			if tpl.variables[name] == nil {
				t.Errorf("runners/README.md tells %s, which is no variable", name)
			}
		}
	})
}
