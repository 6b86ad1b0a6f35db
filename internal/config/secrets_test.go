package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/config"
)

// write puts a file into a new folder.
func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func without(vars map[string]string, name string) map[string]string {
	delete(vars, name)
	return vars
}

func TestSecretFromAFileLosesItsNewline(t *testing.T) {
	vars := without(required(), "GITHUB_TOKEN")
	vars["GITHUB_TOKEN_FILE"] = write(t, "token", "ghp_x\r\n", 0o600)
	c, origins, err := config.Load(config.LoadOptions{Env: environ(vars)})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.GitHub.Token.Reveal(); got != "ghp_x" {
		t.Errorf("token %q", got)
	}
	if from := origins["github.token"].String(); from != "GITHUB_TOKEN_FILE → "+vars["GITHUB_TOKEN_FILE"] {
		t.Errorf("from %s", from)
	}
	if warned(c, "chmod") {
		t.Errorf("a file with mode 0600 gives a warning: %v", c.Warnings)
	}
}

func warned(c *config.Config, word string) bool {
	for _, w := range c.Warnings {
		if strings.Contains(w.String(), word) {
			return true
		}
	}
	return false
}

func TestReadableSecretsAreWarnedOf(t *testing.T) {
	vars := without(required(), "GITHUB_TOKEN")
	vars["GITHUB_TOKEN_FILE"] = write(t, "token", "ghp_x\n", 0o644)
	c, _, err := config.Load(config.LoadOptions{Env: environ(vars)})
	if err != nil || !warned(c, "chmod 600") {
		t.Errorf("a secret's file that everybody can read: %v, %v", err, c.Warnings)
	}
	file := write(t, "x.env", "GITHUB_TOKEN=ghp_x\n", 0o644)
	c, _, err = config.Load(config.LoadOptions{Env: environ(without(required(), "GITHUB_TOKEN")), EnvFile: file})
	if err != nil || !warned(c, "chmod 600") {
		t.Errorf("an env file that everybody can read: %v, %v", err, c.Warnings)
	}
}

func TestSystemdCredentialStandsInForTheFileOnly(t *testing.T) {
	for _, name := range []string{"github_token", "GITHUB_TOKEN"} {
		dir := filepath.Dir(write(t, name, "from-credential\n", 0o600))
		vars := without(required(), "GITHUB_TOKEN")
		vars["CREDENTIALS_DIRECTORY"] = dir
		c, origins, err := config.Load(config.LoadOptions{Env: environ(vars)})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.GitHub.Token.Reveal(); got != "from-credential" {
			t.Errorf("%s: token %q", name, got)
		}
		if from := origins["github.token"]; from.Kind != config.FromCredential || !strings.HasPrefix(from.String(), "credential "+name) {
			t.Errorf("from %s", from)
		}
		vars["GITHUB_TOKEN"] = "from-environment"
		if c, _, err = config.Load(config.LoadOptions{Env: environ(vars)}); err != nil || c.GitHub.Token.Reveal() != "from-environment" {
			t.Errorf("the environment must win over a credential: %v", err)
		}
		yaml := "github: {token: from-yaml}\npools: [{name: a, target: b/c, labels: [d]}]\n"
		delete(vars, "GITHUB_TOKEN")
		o := config.LoadOptions{File: write(t, "mayfly.yaml", yaml, 0o600), Env: environ(vars)}
		if c, _, err = config.Load(o); err != nil || c.GitHub.Token.Reveal() != "from-credential" {
			t.Errorf("a credential must win over mayfly.yaml: %v", err)
		}
	}
}

// TestStrongerPlaceWins goes through all pairs of places that a secret can stand in.
func TestStrongerPlaceWins(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tokenFile := put("token", "env-file-variable")
	for _, tc := range []struct{ yaml, envFile, env, want string }{
		{"token: yaml", "", "", "yaml"},
		{"token_file: " + put("yaml-file", "yaml-file"), "", "", "yaml-file"},
		{"token: yaml", "GITHUB_TOKEN=env-file", "", "env-file"},
		{"token_file: " + tokenFile, "GITHUB_TOKEN=env-file", "", "env-file"},
		{"token: yaml", "GITHUB_TOKEN_FILE=" + tokenFile, "", "env-file-variable"},
		{"token: yaml", "GITHUB_TOKEN=env-file", "GITHUB_TOKEN=env", "env"},
		{"token: yaml", "GITHUB_TOKEN=env-file", "GITHUB_TOKEN_FILE=" + tokenFile, "env-file-variable"},
		{"token: yaml", "GITHUB_TOKEN_FILE=" + tokenFile, "GITHUB_TOKEN=env", "env"},
	} {
		yaml := "pools: [{name: a, target: b/c, labels: [d]}]\ngithub:\n  " + tc.yaml + "\n"
		env := append(environ(without(required(), "GITHUB_TOKEN")), tc.env)
		c, _, err := config.Load(config.LoadOptions{File: put("mayfly.yaml", yaml), EnvFile: put("x.env", tc.envFile+"\n"), Env: env})
		if err != nil {
			t.Errorf("%+v: %v", tc, err)
			continue
		}
		if got := c.GitHub.Token.Reveal(); got != tc.want {
			t.Errorf("%+v: token %q", tc, got)
		}
	}
}

func TestFlagsWinOverAll(t *testing.T) {
	yaml := write(t, "mayfly.yaml", "log: {level: warn}\npools: [{name: a, target: b/c, labels: [d]}]\n", 0o600)
	c, origins, err := config.Load(config.LoadOptions{
		File: yaml, Env: environ(required()),
		Overrides: []config.Override{{Path: "log.level", Flag: "--log-level", Value: "debug"}, {Path: "web.listen", Flag: "--listen", Value: ""}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Log.Level != "debug" || c.Web.Listen != "" || origins["log.level"].String() != "--log-level" {
		t.Errorf("level %s from %s, listen %q", c.Log.Level, origins["log.level"], c.Web.Listen)
	}
}

func TestASecretInTheWrongPlaceIsNotShown(t *testing.T) {
	const secret = "github_pat_11ABCDEFG0thisIsNoToken_9x7w5v"
	for _, tc := range []struct{ name, variable, value, yaml, words string }{
		{"as the name of its file", "GITHUB_TOKEN_FILE", secret, "", "GITHUB_TOKEN_FILE: github.token_file: no file has this name"},
		{"in an address's query", "GITHUB_API_URL", "https://api.github.com/?access_token=" + secret, "", `"https://api.github.com/?***" is not such an address`},
		{"in Proxmox's address", "PROXMOX_URL", "https://127.0.0.1:8006/#" + secret, "", `"https://127.0.0.1:8006/#***" is not such an address`},
		{"as a key", "", "", "github:\n  " + secret + ": token\n", "github.github_p…: unknown key"},
		{"as an alias", "", "", "github:\n  token: *" + secret + "\n", "no anchor of this name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			vars := required()
			o := config.LoadOptions{}
			if tc.variable == "GITHUB_TOKEN_FILE" {
				delete(vars, "GITHUB_TOKEN")
			}
			if tc.variable != "" {
				vars[tc.variable] = tc.value
			} else {
				o.File = write(t, "mayfly.yaml", tc.yaml, 0o600)
			}
			o.Env = environ(vars)
			_, _, err := config.Load(o)
			if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("%v; want %q, and not the secret", err, tc.words)
			}
		})
	}
}
