package cloudinit_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	goyaml "github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mayfly/internal/cloudinit"
	"mayfly/internal/runner"
	"mayfly/runners"
)

var update = flag.Bool("update", false, "write the golden files anew")

// olderCall is a template as users of run-once.sh's older call have it: everything in one shell command.
const olderCall = `#cloud-config
# ${registration_token} goes below.
hostname: ${runner_name}
users:
  - name: ${runner_user}
    shell: /bin/bash
runcmd:
  - su - ${runner_user} -c "/opt/actions-runner/run-once.sh '${repo_url}' '${registration_token}' '${runner_labels}' '${runner_name}'"
  - |
    echo "$${HOME} ${runner_name}"
    poweroff
`

func TestRenderedUserDataIsAsItAlwaysWas(t *testing.T) {
	jit := cloudinit.Values{
		RepoURL: "https://github.com/NREL/EnergyPlus", Labels: []string{"self-hosted", "energyplus", "linux", "x64", "ubuntu-22.04"},
		Name: "energyplus-runner-0123456789", User: "runner", JITConfig: runner.NewSecret("eyIucnVubmVyIjoiZXlKQloyVnVkRWxrSWpveGZRPT0ifQ=="),
		Pool: "energyplus", Jobs: runner.Policy{Repositories: []runner.Target{{Owner: "NREL", Repo: "EnergyPlus"}}, DenyForks: true},
	}
	token := jit
	token.JITConfig, token.RegistrationToken = runner.Secret{}, runner.NewSecret("AABF3JGZDX3P5PMEXLND6TS6FCWO6")
	odd := jit
	odd.Labels = []string{`say"hi"`, `it's`, `back\slash`, "naïve", "#1", "a:"}
	for _, c := range []struct {
		file, text string
		values     cloudinit.Values
	}{
		{"shipped-jit.yaml", runners.UserDataTemplate, jit},
		{"shipped-token.yaml", runners.UserDataTemplate, token},
		{"shipped-odd-labels.yaml", runners.UserDataTemplate, odd},
		{"older-call.yaml", olderCall, token},
	} {
		tmpl, err := cloudinit.Parse(c.file, c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.Render(c.values)
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "golden", c.file)
		if *update {
			if err := os.WriteFile(golden, []byte(got.Reveal()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.Reveal()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.file, diff)
		}
	}
}

func TestNothingIsFilledInWithinComments(t *testing.T) {
	tmpl, err := cloudinit.Parse("t", olderCall)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tmpl.Render(cloudinit.Values{RepoURL: "https://github.com/a/b", Name: "ep-0123456789", User: "runner", RegistrationToken: runner.NewSecret("SECRET")})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(got.Reveal(), "SECRET") != 1 || !strings.Contains(got.Reveal(), "\n# ${registration_token} goes below.\n") {
		t.Errorf("got\n%s", got.Reveal())
	}
}

// label draws any label that the configuration lets through.
func label() *rapid.Generator[string] {
	r := rapid.OneOf(
		rapid.SampledFrom([]rune(`"'\#:{}[]|>&*!%@-?~$`+"`")),
		rapid.RuneFrom(nil, unicode.Latin, unicode.Greek, unicode.Han, unicode.Punct, unicode.Symbol, unicode.Digit),
	).Filter(func(r rune) bool { return unicode.IsPrint(r) && !unicode.IsSpace(r) && r != ',' })
	return rapid.StringOfN(r, 1, 20, -1)
}

func values() *rapid.Generator[cloudinit.Values] {
	return rapid.Custom(func(t *rapid.T) cloudinit.Values {
		v := cloudinit.Values{
			RepoURL: rapid.StringMatching(`https?://[A-Za-z0-9][A-Za-z0-9.-]{0,20}(:[0-9]{1,5})?/[A-Za-z0-9._-]{1,20}/[A-Za-z0-9._-]{1,20}`).Draw(t, "url"),
			Labels:  rapid.SliceOfN(label(), 0, 4).Draw(t, "labels"),
			Name:    rapid.StringMatching(`[A-Za-z0-9](-?[A-Za-z0-9]){0,10}-[0-9a-f]{10}`).Draw(t, "name"),
			User:    rapid.StringMatching(`[a-z_][a-z0-9_-]{0,31}`).Draw(t, "user"),
			Pool:    rapid.StringMatching(`[a-z0-9_][a-z0-9_.-]{0,62}`).Draw(t, "pool"),
			Jobs: runner.Policy{
				Repositories: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) runner.Target {
					return runner.Target{Owner: rapid.StringMatching(`[A-Za-z0-9_-]{1,20}`).Draw(t, "owner"), Repo: rapid.StringMatching(`[A-Za-z0-9_-]{1,20}`).Draw(t, "repo")}
				}), 0, 3).Draw(t, "repositories"),
				Events:    rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,9}(_[a-z]{1,9}){0,2}`), 0, 3).Draw(t, "events"),
				DenyForks: rapid.Bool().Draw(t, "forks"),
			},
		}
		secret := runner.NewSecret(rapid.StringOfN(rapid.SampledFrom([]rune("Aa0+/_=.-")), 1, 2000, -1).Draw(t, "secret"))
		if rapid.Bool().Draw(t, "jit") {
			v.JITConfig = secret
		} else {
			v.RegistrationToken = secret
		}
		return v
	})
}

// everyStyle has each placeholder as a string of its own, in the style and place that %s stands for.
var everyStyle = []string{
	"x: %s\n",
	"x: \"%s\"\n",
	"x: '%s'\n",
	"x: |\n  %s\n",
	"x: |-\n    %s\n",
	"x: >-\n  %s\n",
	"x:\n  %s\n",
	"x: [%s]\n",
	"x: {y: %s}\n",
	"x: [\"%s\", '%[1]s']\n",
	"x:\n  - - %s\n",
	"x:\n- a: '%s' # comment\n",
	"x: &anchor \"%s\"\ny: *anchor\n",
	"x: !!str %s\n",
}

func TestAnyValueIsExactlyTheScalarItsPlaceholderWas(t *testing.T) {
	placeholders := map[string]func(v cloudinit.Values) string{
		"repo_url":           func(v cloudinit.Values) string { return v.RepoURL },
		"registration_token": func(v cloudinit.Values) string { return v.RegistrationToken.Reveal() },
		"runner_labels":      func(v cloudinit.Values) string { return strings.Join(v.Labels, ",") },
		"runner_name":        func(v cloudinit.Values) string { return v.Name },
		"runner_user":        func(v cloudinit.Values) string { return v.User },
		"jit_config":         func(v cloudinit.Values) string { return v.JITConfig.Reveal() },
		"pool_name":          func(v cloudinit.Values) string { return v.Pool },
		"jobs_repositories":  func(v cloudinit.Values) string { return v.Jobs.RepositoryList() },
		"jobs_events":        func(v cloudinit.Values) string { return v.Jobs.EventList() },
		"jobs_forks":         func(v cloudinit.Values) string { return v.Jobs.Forks() },
	}
	rapid.Check(t, func(t *rapid.T) {
		style := rapid.SampledFrom(everyStyle).Draw(t, "style")
		name := rapid.SampledFrom(cloudinit.Placeholders()).Draw(t, "placeholder")
		v := values().Draw(t, "values")
		tmpl, err := cloudinit.Parse("t", "#cloud-config\n"+fmt.Sprintf(style, "${"+name+"}")+"ids: ['${jit_config}', '${registration_token}']\n")
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.Render(v)
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := goyaml.Unmarshal([]byte(got.Reveal()), &doc); err != nil {
			t.Fatalf("%v in\n%s", err, got.Reveal())
		}
		want := placeholders[name](v)
		for _, scalar := range scalars(doc["x"]) {
			if strings.TrimRight(scalar, "\n") != want {
				t.Fatalf("%s became %q, want %q in\n%s", name, scalar, want, got.Reveal())
			}
		}
		if ids := scalars(doc["ids"]); len(doc) > 3 || len(ids) != 2 || ids[0] != v.JITConfig.Reveal() || ids[1] != v.RegistrationToken.Reveal() {
			t.Fatalf("broke out:\n%s", got.Reveal())
		}
	})
}

// scalars lists the strings in a YAML value; anything that isn't one shows as what it is.
func scalars(v any) []string {
	switch v := v.(type) {
	case []any:
		var list []string
		for _, e := range v {
			list = append(list, scalars(e)...)
		}
		return list
	case map[string]any:
		var list []string
		for _, e := range v {
			list = append(list, scalars(e)...)
		}
		return list
	case string:
		return []string{v}
	}
	return []string{fmt.Sprintf("%T %v", v, v)}
}

func TestPartsOfStringsTakeHarmlessValuesOnlyAndNeverBreakOut(t *testing.T) {
	parts := []string{"x: a %s b\n", "x: a%sb\n", "x: \"a %s b\"\n", "x: 'a %s b'\n", "x: [a%s, b]\n", "x: |\n  a %s\n  b\n", "x: a %s\n  b\n", "x: {y: a%s }\n"}
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom(parts).Draw(t, "part")
		v := values().Draw(t, "values")
		text := "#cloud-config\n" + fmt.Sprintf(part, "${runner_labels}") + "id: ['${jit_config}', '${registration_token}']\n"
		tmpl, err := cloudinit.Parse("t", text)
		if err != nil {
			if strings.ContainsAny(part, "[{") && strings.Contains(err.Error(), "${runner_labels}") {
				return // the comma between two labels would begin another entry
			}
			t.Fatal(err)
		}
		got, err := tmpl.Render(v)
		if err != nil {
			return // refused, which is what keeps it safe
		}
		var doc, before map[string]any
		if err := goyaml.Unmarshal([]byte(got.Reveal()), &doc); err != nil {
			t.Fatalf("%v in\n%s", err, got.Reveal())
		}
		if err := goyaml.Unmarshal([]byte(strings.ReplaceAll(text, "${runner_labels}", "PLACE")), &before); err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(fmt.Sprint(scalars(before["x"])), "PLACE", strings.Join(v.Labels, ","))
		if diff := cmp.Diff(want, fmt.Sprint(scalars(doc["x"]))); diff != "" {
			t.Fatalf("changed more than the placeholder:\n%s", diff)
		}
	})
}

func TestUserDataIsASecret(t *testing.T) {
	tmpl, err := cloudinit.Parse("t", runners.UserDataTemplate)
	if err != nil {
		t.Fatal(err)
	}
	v := cloudinit.Values{RepoURL: "https://github.com/a/b", Name: "ep-0123456789", User: "runner", JITConfig: runner.NewSecret("SECRETSECRET")}
	got, err := tmpl.Render(v)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.Reveal(), "SECRETSECRET") {
		t.Fatal("the identity isn't in it")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(verb+verb, got, v); strings.Contains(text, "SECRET") || strings.Contains(text, fmt.Sprintf("%x", "SECRET")) {
			t.Errorf("%s shows it: %s", verb, text)
		}
	}
}

// FuzzParse: whatever is taken as a template can be filled in, means the same whatever the values, and no error shows a
// secret.
func FuzzParse(f *testing.F) {
	f.Add(runners.UserDataTemplate)
	f.Add(olderCall)
	f.Add(jitFile)
	f.Add("#!/bin/sh\nx ${jit_config} $${A}\n")
	f.Add("#cloud-config\nx: |+2\n   ${jit_config}\n\n\ny: >\n ${runner_labels}\n ${runner_name}\n")
	f.Add("#cloud-config\n? ${jit_config}\n: &a [*a, !!str ${jit_config}]\n<<: *b\n")
	f.Add("#cloud-config\nx: \"${jit_config}\\\n  ${runner_labels}\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := cloudinit.Parse("t", text)
		if err != nil {
			return
		}
		const secret = "SeCrEtSeCrEt"
		v := cloudinit.Values{
			RepoURL: "https://github.com/NREL/EnergyPlus", Labels: []string{`a'"\b`, "ü"}, Name: "ep-0123456789", User: "runner",
			JITConfig: runner.NewSecret(secret),
		}
		if tmpl.Needs() == cloudinit.NeedsRegistrationToken {
			v.JITConfig, v.RegistrationToken = runner.Secret{}, v.JITConfig
		}
		got, err := tmpl.Render(v)
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Fatalf("the error shows the secret: %v", err)
			}
			return
		}
		if !strings.Contains(got.Reveal(), secret) {
			t.Fatalf("no identity in\n%s", got.Reveal())
		}
	})
}
