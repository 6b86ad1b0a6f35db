package config_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mayfly/internal/config"
)

func TestGivenTellsWhatWasSetAndNothingElse(t *testing.T) {
	in := input{map[string][]byte{
		"mayfly.yaml": []byte("proxmox: {url: pve1, token_secret_file: gone}\nweb: {listen: \"\"}\nmax_runners: 5\n"),
		"e.env":       []byte("REPO_OWNER=o\nREPO_NAME=r\nRUNNER_LABELS=a,b\nGITHUB_TOKEN=gh-secret\nPROXMOX_NOD=x\n"),
	}}
	o := in.options()
	o.EnvFile = "e.env"
	o.Env = []string{"MAX_TOTAL_RUNNERS=7", "PROXMOX_NODE="}
	settings, warnings, err := config.Given(o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range settings {
		got = append(got, s.Path+" = "+s.Value+" < "+s.Origin.String())
		if s.Path == "github.token" && s.Secret.Reveal() != "gh-secret" {
			t.Error("the secret isn't the one that was set")
		}
	}
	want := []string{
		"proxmox.url = pve1 < mayfly.yaml:1:16",
		"proxmox.token_secret_file = gone < mayfly.yaml:1:41",
		"github.token =  < e.env:4:1: GITHUB_TOKEN",
		"max_runners = 7 < MAX_TOTAL_RUNNERS",
		"pools[0].target = o/r < e.env:2:1: REPO_NAME",
		"pools[0].labels = a,b < e.env:3:1: RUNNER_LABELS",
		"web.listen =  < mayfly.yaml:2:15",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].Text, "PROXMOX_NODE") {
		t.Errorf("warnings %v, want the misspelt variable", warnings)
	}
	in.files["mayfly.yaml"] = []byte("max_runners: many\nodd: 1\n")
	if _, _, err := config.Given(in.options()); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("error %v, want both lines told", err)
	}
}

func TestValuesAreCheckedOneByOne(t *testing.T) {
	for _, c := range []struct{ path, value, want string }{
		{"proxmox.node", "pve1", ""},
		{"proxmox.node", "pve 1", `"pve 1" is not such a value; want a node's name as Proxmox shows it, for example pve1`},
		{"max_runners", "0", "0 is out of range; want a whole number from 1 to 10000"},
		{"max_runners", "two", `"two" is not a whole number; want a whole number from 1 to 10000`},
		{"pools[0].labels", "a,b", ""},
		{"pools[0].labels", "", "an empty list; want 1 to 256 characters without comma or white space"},
		{"proxmox.token_id", "a@pve!b=SECRET", "an equals sign in it; want USER@REALM!NAME, for example mayfly@pve!dispatcher; what follows the equals sign is the secret and has a key of its own"},
		{"handoff", "mail", `"mail" is not such a value; want agent, iso, snippet or auto`},
	} {
		got := ""
		if err := config.CheckValue(c.path, c.value); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s = %q: %q, want %q", c.path, c.value, got, c.want)
		}
	}
}

func TestWriteRefusesSecretsAndWhatIsNoKey(t *testing.T) {
	for _, path := range []string{"github.token", "proxmox.token_secret", "pools[0].nosuch", "pools[9999999].name", "nosuch"} {
		if err := config.Write(new(bytes.Buffer), nil, []config.Note{{Path: path, Value: "x"}}); err == nil {
			t.Errorf("%s was written", path)
		}
	}
}

// TestWrittenConfigurationMeansTheSame writes what a drawn configuration sets, and loads that.
func TestWrittenConfigurationMeansTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := input{map[string][]byte{"mayfly.yaml": []byte(drawYAML(t))}}
		settings, _, err := config.Given(in.options())
		if err != nil {
			t.Fatalf("%v\n%s", err, in.files["mayfly.yaml"])
		}
		var notes []config.Note
		for _, s := range settings {
			notes = append(notes, config.Note{Path: s.Path, Value: s.Value, From: rapid.StringMatching(`[ -~\n]{0,10}`).Draw(t, "from")})
		}
		var written bytes.Buffer
		if err := config.Write(&written, []string{"a head"}, notes); err != nil {
			t.Fatal(err)
		}
		load := func(text []byte) *config.Config {
			o := input{map[string][]byte{"mayfly.yaml": text}}.options()
			o.Env = environ(required())
			c, _, err := config.Load(o)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			return c
		}
		if diff := same(load(in.files["mayfly.yaml"]), load(written.Bytes())); diff != "" {
			t.Fatalf("(-first +second):\n%s\nwritten:\n%s", diff, written.String())
		}
	})
}
