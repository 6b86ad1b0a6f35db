package main

import (
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEnvFileForms(t *testing.T) {
	cases := []struct {
		text string
		want map[string]string
		bad  string
	}{
		{"", map[string]string{}, ""},
		{"A=1\nB=x=y<<z\n\nC=\n", map[string]string{"A": "1", "B": "x=y<<z", "C": ""}, ""},
		{"A<<END\none\ntwo=2\nEND\nB=3\n", map[string]string{"A": "one\ntwo=2", "B": "3"}, ""},
		{"A<<END\nEND\n", map[string]string{"A": ""}, ""},
		{"A<<END\none\n", nil, "delimiter not found 'END'"},
		{"words\n", nil, "invalid format 'words'"},
		{"=1\n", nil, "invalid format '=1'"},
		{"A<<\n", nil, "invalid format 'A<<'"},
	}
	for _, c := range cases {
		got, err := parseEnvFile(c.text)
		switch {
		case c.bad != "":
			if err == nil || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%q: %v, want %q", c.text, err, c.bad)
			}
		case err != nil || !maps.Equal(got, c.want):
			t.Errorf("%q: %q, %v; want %q", c.text, got, err, c.want)
		}
	}
}

func TestWhatAStepWritesComesBackUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.StringMatching(`[A-Z_]{1,8}`), rapid.StringMatching(`([a-z=<]{0,9}\n){0,3}[a-z=<]{0,9}`)).Draw(t, "variables")
		var text strings.Builder
		for name, value := range want {
			if strings.Contains(value, "\n") {
				text.WriteString(name + "<<END\n" + value + "\nEND\n")
			} else {
				text.WriteString(name + "=" + value + "\n")
			}
		}
		got, err := parseEnvFile(text.String())
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("%q: %q, %v; want %q", text.String(), got, err, want)
		}
	})
}

func FuzzEnvFile(f *testing.F) {
	f.Add("A=1\nB<<X\n1\nX\n")
	f.Add("B<<X\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := parseEnvFile(text)
		if (err != nil) != (found == nil) {
			t.Errorf("%q: both or neither of %q and %v", text, found, err)
		}
		for name := range found {
			if name == "" || strings.ContainsAny(name, "\n") {
				t.Errorf("%q: name %q", text, name)
			}
		}
	})
}
