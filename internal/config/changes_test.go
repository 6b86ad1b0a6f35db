package config_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/config"
)

func TestChangesNameWhatDiffersAndWhenItCounts(t *testing.T) {
	load := func(text string) *config.Config {
		o := input{map[string][]byte{"mayfly.yaml": []byte(text)}}.options()
		o.Env = environ(required())
		c, _, err := config.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const pool = "  - {name: a, target: NREL/EnergyPlus, labels: [a]"
	old := load("installation: x\ngithub: {token: one}\npools:\n" + pool + "}\n  - {name: gone, target: NREL/EnergyPlus, labels: [b]}\n")
	next := load("installation: x\nmax_runners: 3\nvmids: {end: 250}\ngithub: {token: two}\npools:\n" + pool + ", cores: 4}\n")
	got := map[string]config.Change{}
	for _, c := range config.Changes(old, next) {
		if strings.HasPrefix(c.Path, "pools[gone]") && c.New == "" {
			continue
		}
		got[c.Path] = c
	}
	want := map[string]config.Change{
		"max_runners":    {Path: "max_runners", Old: "1", New: "3", When: config.AtOnce},
		"vmids.end":      {Path: "vmids.end", Old: "299", New: "250", When: config.NextStart},
		"pools[a].cores": {Path: "pools[a].cores", New: "4", When: config.NextRunner},
		"pools[a].max":   {Path: "pools[a].max", Old: "1", New: "3", When: config.AtOnce},
	}
	delete(got, "github.token") // from the environment, in either
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(config.Changes(next, next)); n != 0 {
		t.Errorf("%d changes between one and the same", n)
	}
}

func TestValuesOfAnotherProcessHoldNoSecretAndCompareByTheOnesInPlace(t *testing.T) {
	load := func(token string) *config.Config {
		o := input{map[string][]byte{"mayfly.yaml": []byte("pools: [{name: a, target: NREL/EnergyPlus, labels: [a]}]\n")}}.options()
		o.Env = append(environ(required()), "GITHUB_TOKEN="+token)
		c, _, err := config.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, two := load("the-first"), load("the-second")
	text, err := json.Marshal(config.ValuesOf(one))
	if err != nil || strings.Contains(string(text), "the-first") {
		t.Fatalf("%s, %v", text, err)
	}
	if text := fmt.Sprintf("%v %+v %#v %q", config.ValuesOf(one), config.ValuesOf(one), config.ValuesOf(one), config.ValuesOf(one)); strings.Contains(text, "the-first") {
		t.Fatal(text)
	}
	var remote config.Values
	if err := json.Unmarshal(text, &remote); err != nil {
		t.Fatal(err)
	}
	if c := remote.Changes(config.ValuesOf(two)); len(c) != 0 {
		t.Errorf("without secrets: %v", c)
	}
	want := []config.Change{{Path: "github.token", Old: `"***"`, New: `"***"`, When: config.NextStart}}
	if diff := cmp.Diff(want, remote.WithSecretsOf(config.ValuesOf(one)).Changes(config.ValuesOf(two))); diff != "" {
		t.Error(diff)
	}
}

func TestInForceIsTheNewButForWhatNeedsARestart(t *testing.T) {
	load := func(rest string) *config.Config {
		o := input{map[string][]byte{"mayfly.yaml": []byte(rest + "\npools: [{name: a, target: NREL/EnergyPlus, labels: [a]}]\n")}}.options()
		o.Env = environ(required())
		c, _, err := config.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	began, read := load("max_runners: 2\nlog: {level: info}"), load("max_runners: 3\nlog: {level: debug}")
	got := config.InForce(began, read).Changes(config.ValuesOf(read))
	want := []config.Change{{Path: "log.level", Old: "info", New: "debug", When: config.NextStart}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
