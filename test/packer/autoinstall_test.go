package packer

import (
	"bytes"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/zclconf/go-cty/cty"
)

// disc is a file of the disc with the installer's answers.
func (tpl *template) disc(name string, values map[string]cty.Value) string {
	tpl.t.Helper()
	content := tpl.argument(tpl.only(tpl.only(tpl.body, "source").Body, "additional_iso_files"), "cd_content", tpl.scope(values))
	return content.GetAttr(name).AsString()
}

// answers are the autoinstall section as the installer reads it.
func (tpl *template) answers(values map[string]cty.Value) map[string]any {
	tpl.t.Helper()
	text := tpl.disc("user-data", values)
	if !strings.HasPrefix(text, "#cloud-config\n") {
		tpl.t.Fatalf("user-data begins with %.20q, want #cloud-config", text)
	}
	var read struct {
		Autoinstall map[string]any `yaml:"autoinstall"`
	}
	if err := yaml.NewDecoder(bytes.NewBufferString(text), yaml.Strict()).Decode(&read); err != nil {
		tpl.t.Fatalf("user-data: %v\n%s", err, text)
	}
	return read.Autoinstall
}

func TestTheInstallerUnderstandsItsAnswers(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	schema, err := compiler.Compile("testdata/autoinstall.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	proxied := given()
	proxied["http_proxy"] = cty.StringVal("http://proxy.example.org:3128")
	odd := given()
	odd["ssh_password_hash"] = cty.StringVal(`$6$a"b\c: #d$<&>'`)
	inEvery(t, func(t *testing.T, tpl *template) {
		for name, values := range map[string]map[string]cty.Value{"defaults": given(), "proxy": proxied, "odd hash": odd} {
			answers := tpl.answers(values)
			if err := schema.Validate(plain(answers)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			identity, ok := answers["identity"].(map[string]any)
			if want := values["ssh_password_hash"].AsString(); !ok || identity["password"] != want {
				t.Errorf("%s: identity %v, want the hash %s", name, identity, want)
			}
		}
	})
}

func TestTheSchemaRefusesWhatTheInstallerWould(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	schema, err := compiler.Compile("testdata/autoinstall.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	inEvery(t, func(t *testing.T, tpl *template) {
		for name, breaks := range map[string]func(map[string]any){
			"another version": func(a map[string]any) { a["version"] = 2 },
			"a key misspelt":  func(a map[string]any) { a["late_commands"] = a["late-commands"] },
			"no identity":     func(a map[string]any) { delete(a, "identity") },
			"a plain password": func(a map[string]any) {
				a["identity"] = map[string]any{"hostname": "runner", "username": "packer", "password": "secret"}
			},
			"no agent": func(a map[string]any) { a["packages"] = []any{"curl"} },
			"swap":     func(a map[string]any) { a["storage"] = map[string]any{"layout": map[string]any{"name": "direct"}} },
		} {
			answers := tpl.answers(given())
			breaks(answers)
			if schema.Validate(plain(answers)) == nil {
				t.Errorf("%s passes", name)
			}
		}
	})
}

// plain turns the numbers of YAML into those that JSON Schema's validator knows.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = plain(v[key])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case uint64:
		return int(v)
	case int64:
		return int(v)
	}
	return v
}

// TestTheBuildsPasswordIsNotOnTheDisc keeps the password itself out of the answers: its hash is enough.
func TestTheBuildsPasswordIsNotOnTheDisc(t *testing.T) {
	inEvery(t, func(t *testing.T, tpl *template) {
		values := given()
		for _, name := range []string{"user-data", "meta-data"} {
			text := tpl.disc(name, values)
			for _, secret := range []string{"ssh_password", "proxmox_token"} {
				if text == "" || strings.Contains(text, values[secret].AsString()) {
					t.Errorf("%s has %s, or is empty", name, secret)
				}
			}
		}
	})
}
