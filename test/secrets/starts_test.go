package secrets

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/test/process"
)

// TestAStartThatFailsShowsNoSecret makes the mistakes that people make with secrets: put them where they don't belong, copy
// them badly, take the wrong one.
func TestAStartThatFailsShowsNoSecret(t *testing.T) {
	const (
		proxmoxSecret = "3f9d2b7c-51e8-4c06-9a17-d0badc0ffee5"
		githubToken   = "github_pat_11ABCDEFG0thisIsNoToken_9x7w5v3u1t"
	)
	t.Parallel()
	s := newStandIns(t, 113)
	good := func(more ...string) []string {
		return append([]string{
			"PROXMOX_URL=https://" + s.toPVE.address(), "PROXMOX_FINGERPRINT=" + s.fingerprint, "PROXMOX_NODE=" + s.pve.Node,
			"PROXMOX_TOKEN_ID=" + s.pve.TokenID, "GITHUB_API_URL=http://" + s.toGH.address(), "REPO_URL=https://github.com/" + s.gh.Repository,
		}, more...)
	}
	both := func(proxmox, github string, more ...string) []string {
		return good(append([]string{"PROXMOX_TOKEN_SECRET=" + proxmox, "GITHUB_TOKEN=" + github}, more...)...)
	}
	token := func(more ...string) []string { return both(proxmoxSecret, githubToken, more...) }
	yaml := func(text string) []string { return []string{"--config", file(t, "mayfly.yaml", text)} }
	env := func(text string) []string { return []string{"--env-file", file(t, "dispatcher.env", text)} }
	for _, tc := range []struct {
		name string
		env  []string
		args []string
	}{
		{"Proxmox refuses the token", both(proxmoxSecret, s.gh.Token), nil},
		{"GitHub refuses the token", both(s.pve.TokenSecret, githubToken), nil},
		{"a blank inside the secrets", both(proxmoxSecret[:20]+" "+proxmoxSecret, "Bearer "+githubToken), nil},
		{"quotes around the token", both(proxmoxSecret, `„`+githubToken+`“`), nil},
		{"a secret and its file", token("GITHUB_TOKEN_FILE=" + file(t, "token", githubToken)), nil},
		{"the secret as the name of its file", good("PROXMOX_TOKEN_SECRET="+proxmoxSecret, "GITHUB_TOKEN_FILE="+githubToken), nil},
		{"two lines in the file", good("PROXMOX_TOKEN_SECRET="+proxmoxSecret, "GITHUB_TOKEN_FILE="+file(t, "two", githubToken+"\n"+githubToken)), nil},
		{"the secret behind the token's id", token("PROXMOX_TOKEN_ID=" + s.pve.TokenID + "=" + proxmoxSecret), nil},
		{"the whole header as the token's id", token("PROXMOX_TOKEN_ID=PVEAPIToken=" + s.pve.TokenID + "=" + proxmoxSecret), nil},
		{"the secret in Proxmox's address", token("PROXMOX_URL=https://root:" + proxmoxSecret + "@127.0.0.1:8006"), nil},
		{"the secret in the query of Proxmox's address", token("PROXMOX_URL=https://127.0.0.1:8006/?token=" + proxmoxSecret), nil},
		{"the token in the repository's address", token("REPO_URL=https://x-access-token:" + githubToken + "@github.com/NREL/EnergyPlus"), nil},
		{"the token in GitHub's address", token("GITHUB_API_URL=https://x:" + githubToken + "@api.github.com"), nil},
		{"the token in the query of GitHub's address", token("GITHUB_API_URL=https://api.github.com/?access_token=" + githubToken), nil},
		{"a variable's name mistyped", good("PROXMOX_TOKEN_SECRET="+proxmoxSecret, "GITHUB_TOKN="+githubToken), nil},
		{"env file: the token alone on a line", good("PROXMOX_TOKEN_SECRET=" + proxmoxSecret), env(githubToken + "\n")},
		{"env file: a quote that isn't closed", good("PROXMOX_TOKEN_SECRET=" + proxmoxSecret), env(`GITHUB_TOKEN="` + githubToken + "\n")},
		{"env file: a blank before the token", good("PROXMOX_TOKEN_SECRET=" + proxmoxSecret), env(`GITHUB_TOKEN= ` + githubToken + "\n")},
		{"env file: a dollar before the token", good("PROXMOX_TOKEN_SECRET=" + proxmoxSecret), env(`GITHUB_TOKEN=$` + githubToken + "\n")},
		{"env file: a colon for the equals sign", good("PROXMOX_TOKEN_SECRET=" + proxmoxSecret), env(`GITHUB_TOKEN: ` + githubToken + "\n")},
		{"env file: a mistyped name", good("PROXMOX_TOKEN_SECRET=" + proxmoxSecret), env(`GITHUB_TOKN=` + githubToken + "\n")},
		{"env file: a strange name", good("PROXMOX_TOKEN_SECRET=" + proxmoxSecret), env(githubToken + "=GITHUB_TOKEN\n")},
		{"YAML: an unknown key", token(), yaml("github:\n  tokn: " + githubToken + "\n")},
		{"YAML: a list for the token", token(), yaml("github:\n  token: [" + githubToken + "]\n")},
		{"YAML: a mapping for the token", token(), yaml("github:\n  token:\n    " + githubToken + ": x\n")},
		{"YAML: the token as a key", token(), yaml("github:\n  " + githubToken + ": token\n")},
		{"YAML: the token for the whole", token(), yaml("github: " + githubToken + "\n")},
		{"YAML: the token and nothing else", token(), yaml(githubToken + "\n")},
		{"YAML: no YAML", token(), yaml("github:\n  token: \"" + githubToken + "\n  [}\n")},
		{"YAML: a tab before the token", token(), yaml("github:\n\ttoken: " + githubToken + "\n")},
		{"YAML: an alias for the token", token(), yaml("github:\n  token: *" + githubToken + "\n")},
		{"YAML: twice the token", token(), yaml("github:\n  token: " + githubToken + "\n  token: " + githubToken + "\n")},
		{"YAML: the token where a number belongs", token(), yaml("max_runners: " + githubToken + "\n")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, command := range [][]string{{"run", "--listen", "127.0.0.1:0"}, {"config", "check"}, {"config", "show", "--origin"}} {
				args := append(append([]string{}, command...), "--log-level", "debug")
				p := launch(t, t.TempDir(), "", process.Environment(tc.env...), process.Program(), append(args, tc.args...)...)
				_ = p.Wait()
				said := p.out.String()
				if command[0] == "run" && (p.Wait() == nil || strings.TrimSpace(said) == "") {
					t.Errorf("%q starts: %s", command, said)
				}
				var needles []needle
				for name, secret := range map[string]string{
					"Proxmox token secret": proxmoxSecret, "GitHub token": githubToken,
					"the right Proxmox token secret": s.pve.TokenSecret, "the right GitHub token": s.gh.Token,
				} {
					needles = append(needles, forms(name, secret)...)
					needles = append(needles, parts(name, secret)...)
				}
				mustBeClean(t, []text{{placeErrors, strings.Join(command, " "), said}}, needles)
			}
		})
	}
}

// file makes a file of its own.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
