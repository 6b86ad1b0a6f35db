package setup_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cli"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// closedPort is an address that nothing listens on.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// TestAWrongAnswerIsAskedForAgainWithTheAcceptedForm gives each question wrong answers before the good one.
func TestAWrongAnswerIsAskedForAgainWithTheAcceptedForm(t *testing.T) {
	other := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	caOfOther := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(caOfOther, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	const few, none = "github_pat_only_actions_00000000000000", "github_pat_of_another_0000000000000000"
	s := serve(t, serverOptions{gh: gh.Options{Tokens: []gh.TokenSpec{
		{Token: few, Permissions: map[string]string{"actions": "write", "metadata": "read"}},
		{Token: none, Repositories: []string{"somebody/else"}},
	}}})
	s.revealed = append(s.revealed, few, none)
	for name, c := range map[string]struct {
		at    int      // which question
		wrong []string // before the good answer
		says  []string
	}{
		"empty":                  {0, []string{""}, []string{"no: no answer"}},
		"no address":             {0, []string{"not an address"}, []string{"no: that is no address; want a host, HOST:8006"}},
		"user in the address":    {0, []string{"https://root@pve1:8006"}, []string{"no: a user in the address"}},
		"nobody there":           {0, []string{closedPort(t)}, []string{"doesn't answer: connect: connection refused; want a host"}},
		"another server":         {0, []string{other.Listener.Addr().String()}, []string{"answers 404, which Proxmox VE wouldn't"}},
		"certificate unwanted":   {1, []string{"no"}, []string{"no: then anybody in between could read the token; want yes"}},
		"another fingerprint":    {1, []string{strings.Repeat("AB:", 31) + "AB"}, []string{"no: that is another certificate's fingerprint"}},
		"file without authority": {1, []string{caOfOther}, []string{"no: no certificate is in that file; want a PEM file"}},
		"no such file":           {1, []string{"/nosuch/ca.pem"}, []string{"no: that is no file that can be read"}},
		"user without token":     {2, []string{"root@pam"}, []string{`no: "root@pam" is a user without a token; want the token's name after it`}},
		"secret as id":           {2, []string{s.info.AdminTokenSecret}, []string{"no: that looks like a secret"}},
		"wrong secret":           {3, []string{"wrong", s.info.TokenID}, []string{"401", "want the id of a token that is there (on a node: pveum user token list ci@pve)"}},
		"no such node":           {4, []string{"pve9"}, []string{"no: the cluster has no such node; want one of pve1"}},
		"no such resource pool":  {5, []string{"nosuch"}, []string{"no: there is no resource pool of that name; make it (on a node: pveum pool add nosuch), or take one of ci, ci-templates, -"}},
		"no such template":       {6, []string{"nosuch template"}, []string{"no: neither a template on node pve1 that this token sees", "nor an image that can be built (debian-12, ubuntu-2204, ubuntu-2404)"}},
		"no range":               {7, []string{"some"}, []string{"no: that is no range of VMIDs; want FIRST-LAST"}},
		"range backwards":        {7, []string{"300-200"}, []string{"no: the last VMID is before the first"}},
		"range of templates":     {7, []string{"8900-9010"}, []string{"no: 8900-9010 overlaps the VMIDs of templates, 9000-9099"}},
		"range too low":          {7, []string{"1-50"}, []string{"no: 1 is out of range; want a whole number from 100"}},
		"range taken":            {7, []string{"247-247"}, []string{"no: all of 247-247 are taken: 247 (energyplus-runner-db-in)"}},
		"no repository":          {8, []string{"EnergyPlus"}, []string{"no: that names no repository; want OWNER/REPO"}},
		"GitHub is away":         {8, []string{"http://" + closedPort(t) + "/NREL/EnergyPlus"}, []string{"doesn't answer: connect: connection refused; let this machine out on port 443"}},
		"token unknown":          {9, []string{"github_pat_nosuch"}, []string{"no: get repository NREL/EnergyPlus: GitHub answers 401"}},
		"permission missing":     {9, []string{few}, []string{"no: the token lacks Administration on NREL/EnergyPlus; give it Actions and Administration, both Read and write"}},
		"token of another":       {9, []string{none, s.repo}, []string{"no: there is no repository NREL/EnergyPlus, or the token isn't for it"}},
		"no labels":              {10, []string{"self-hosted"}, []string{"no: no labels; want at least one"}},
		"no number":              {11, []string{"many"}, []string{`no: "many" is not a whole number; want a whole number from 1 to 10000`}},
		"more than VMIDs":        {11, []string{"101"}, []string{"no: 101 runners don't fit into the 100 VMIDs 300-399"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := *s
			s.dir = t.TempDir()
			r := s.run(t, nil, nil, with(s.answers(), map[int][]string{c.at: append(c.wrong, s.answers()[c.at])})...)
			if r.code != cli.ExitOK || r.errors != "" {
				t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
			}
			for _, says := range c.says {
				if !strings.Contains(r.out, says) {
					t.Errorf("nothing says %q:\n%s", says, r.out)
				}
			}
			s.loaded(t)
		})
	}
}

func TestThreeWrongAnswersEndItWhereNobodySitsInFront(t *testing.T) {
	s := serve(t, serverOptions{})
	for name, c := range map[string]struct {
		at    int
		wrong []string
		says  string
	}{
		"one question":      {4, []string{"a", "b", "c"}, "mayfly: init: node for the runners: 3 wrong answers: the cluster has no such node; want one of pve1"},
		"several questions": {3, []string{"x", s.info.TokenID, "y", s.info.TokenID, "z"}, "mayfly: init: 3 wrong answers: read version: 401"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.dir = t.TempDir()
			r := s.run(t, nil, nil, append(s.answers()[:c.at:c.at], c.wrong...)...)
			if r.code != cli.ExitFailure || !strings.HasPrefix(r.errors, c.says) {
				t.Errorf("exit code %d, %q; want %q", r.code, r.errors, c.says)
			}
			s.nothingWritten(t)
		})
	}
}

func TestAnswersThatEndEarlyTellWhatWasMissing(t *testing.T) {
	s := serve(t, serverOptions{})
	all := s.answers()
	for at, says := range []string{
		"--proxmox-url or PROXMOX_URL", "--proxmox-fingerprint or --pin-certificate or PROXMOX_FINGERPRINT", "--proxmox-token-id or PROXMOX_TOKEN_ID",
		"--proxmox-token-secret-file or PROXMOX_TOKEN_SECRET", "--node or PROXMOX_NODE", "--resource-pool or PROXMOX_POOL", "--template or --image or TEMPLATE_NAME",
		"--vmids or RUNNER_ID_START", "--repository", "--github-token-file or GITHUB_TOKEN", "--labels or RUNNER_LABELS", "--max-runners or MAX_TOTAL_RUNNERS",
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			s := *s
			s.dir = t.TempDir()
			text := strings.Join(append(all[:at:at], ""), "\n")
			r := s.command(t, strings.NewReader(text), nil, nil)
			if r.code != cli.ExitFailure || !strings.Contains(r.errors, "the input ends here; give it by "+says) || strings.Count(r.errors, "\n") != 1 {
				t.Errorf("exit code %d, %q; want the words %q", r.code, r.errors, says)
			}
			s.nothingWritten(t)
		})
	}
}

func TestWithYesWhatHasNoAnswerIsAnErrorAndNothingIsAsked(t *testing.T) {
	s := serve(t, serverOptions{})
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(s.token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"PROXMOX_URL=" + s.info.URL, "PROXMOX_TOKEN_ID=" + s.info.TokenID, "PROXMOX_TOKEN_SECRET=" + s.info.TokenSecret}
	for name, c := range map[string]struct {
		env, args []string
		code      int
		says      string
	}{
		"no address":        {nil, nil, cli.ExitUsage, "no answer; give it by --proxmox-url or PROXMOX_URL"},
		"certificate":       {env, nil, cli.ExitUsage, "no answer; give it by --proxmox-fingerprint or --pin-certificate"},
		"wrong fingerprint": {env, []string{"--proxmox-fingerprint", strings.Repeat("AB", 32)}, cli.ExitFailure, "that is another certificate's fingerprint"},
		"no repository":     {env, []string{"--pin-certificate"}, cli.ExitUsage, "no answer; give it by --repository"},
		"no token":          {env, []string{"--pin-certificate", "--repository", s.repo}, cli.ExitUsage, "no answer; give it by --github-token-file or GITHUB_TOKEN"},
		"wrong node":        {env, []string{"--pin-certificate", "--node", "pve9"}, cli.ExitFailure, "the cluster has no such node; want one of pve1; give it by --node or PROXMOX_NODE"},
		"wrong secret":      {append(env, "PROXMOX_TOKEN_SECRET=wrong"), []string{"--pin-certificate"}, cli.ExitFailure, "401"},
		"no such file":      {env, []string{"--github-token-file", "/nosuch"}, cli.ExitFailure, "--github-token-file: open /nosuch"},
		"two templates":     {env, []string{"--template", "a", "--image", "b"}, cli.ExitUsage, "mayfly: --image beside --template: want one of the two\n"},
		"all there":         {env, []string{"--pin-certificate", "--repository", s.repo, "--github-token-file", token}, cli.ExitOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := *s
			s.dir = t.TempDir()
			r := s.run(t, c.env, append([]string{"--yes"}, c.args...))
			if r.code != c.code || !strings.Contains(r.errors, c.says) {
				t.Fatalf("exit code %d, %q; want %d, %q\n%s", r.code, r.errors, c.code, c.says, r.out)
			}
			if r.code != cli.ExitOK {
				s.nothingWritten(t)
				return
			}
			if c := s.loaded(t); c.GitHub.Token.Reveal() != s.token || !strings.Contains(s.read(t, "mayfly.yaml"), token) {
				t.Error("the token's file isn't the one that was named")
			}
		})
	}
}

func TestOldProxmoxIsRefused(t *testing.T) {
	for release, good := range map[string]bool{"7.4-17": false, "8.3.5": false, "8.4.1": true, "9.0.3": true} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			s := serve(t, serverOptions{pve: pve.Options{Release: release}})
			r := s.run(t, nil, nil, s.answers()...)
			if said := strings.Contains(r.out, "no: Proxmox VE "+release+" is too old; want 8.4 or 9"); said == good || (r.code == cli.ExitOK) != good {
				t.Errorf("exit code %d\n%s%s", r.code, r.out, r.errors)
			}
		})
	}
}

func TestWhenTheTokenEndsIsTold(t *testing.T) {
	const token = "github_pat_that_ends_000000000000000000"
	ends := time.Now().Add(30*24*time.Hour + time.Hour)
	s := serve(t, serverOptions{gh: gh.Options{Tokens: []gh.TokenSpec{{Token: token, Expires: ends}}}})
	r := s.run(t, nil, nil, with(s.answers(), map[int][]string{9: {token}})...)
	if want := "It ends on " + ends.UTC().Format(time.DateOnly) + ", in 30 days"; !strings.Contains(r.out, want) {
		t.Errorf("nothing says %q:\n%s", want, r.out)
	}
}
