package setup_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/cli"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// servers are both stand-ins, over real HTTP.
type servers struct {
	pve      *pve.Server
	info     pve.Info // of Proxmox
	gh       *gh.Server
	repo     string // the repository's address
	token    string // of GitHub
	dir      string // where mayfly.yaml goes
	revealed []string
}

type serverOptions struct {
	pve pve.Options
	gh  gh.Options
}

func serve(t *testing.T, o serverOptions) *servers {
	t.Helper()
	o.pve.Timing = pve.DefaultTiming()
	o.pve.Timing.AuthFailure = 0 // what is asked without a token waits for nothing
	p, g := pve.New(o.pve), gh.New(o.gh)
	address, err := p.Listen()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(l) }()
	t.Cleanup(func() {
		p.Close()
		g.Close()
		if err := <-ended; err != nil {
			t.Errorf("serve GitHub: %v", err)
		}
	})
	s := &servers{pve: p, info: p.Info(), gh: g, repo: "http://" + l.Addr().String() + "/NREL/EnergyPlus", token: g.Info().Token, dir: t.TempDir()}
	s.info.URL = address
	s.revealed = []string{s.info.TokenSecret, s.info.AdminTokenSecret, s.token}
	return s
}

// result is what a run of the command came to.
type result struct {
	code        int
	out, errors string
}

// run calls the real command with these lines on standard input.
func (s *servers) run(t *testing.T, env, args []string, answers ...string) result {
	t.Helper()
	return s.command(t, strings.NewReader(strings.Join(append(answers, ""), "\n")), env, args)
}

// command calls the real command with that standard input.
func (s *servers) command(t *testing.T, in io.Reader, env, args []string) result {
	t.Helper()
	var out, errors bytes.Buffer
	args = append([]string{"init", "--config", filepath.Join(s.dir, "mayfly.yaml")}, args...)
	code := cli.Main(t.Context(), args, in, &out, &errors, env)
	r := result{code, out.String(), errors.String()}
	for _, secret := range s.revealed {
		if strings.Contains(r.out+r.errors, secret) {
			t.Errorf("a secret is shown:\n%s%s", r.out, r.errors)
		}
	}
	return r
}

// answers are good ones for everything, in the order of the questions.
func (s *servers) answers() []string {
	return []string{
		strings.TrimPrefix(s.info.URL, "https://"), "yes", s.info.TokenID, s.info.TokenSecret, // address, pin, token
		"", "", "ubuntu-2204-runner-template", "", // node, resource pool, template, VMIDs
		s.repo, s.token, "energyplus,linux", "4",
	}
}

// with changes some of the answers.
func with(answers []string, change map[int][]string) []string {
	var list []string
	for i, a := range answers {
		if instead, ok := change[i]; ok {
			list = append(list, instead...)
			continue
		}
		list = append(list, a)
	}
	return list
}

func (s *servers) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// nothingWritten fails when the folder isn't empty.
func (s *servers) nothingWritten(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was written", e.Name())
	}
}
