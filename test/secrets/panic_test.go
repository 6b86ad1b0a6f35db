package secrets

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/config"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/test/process"
)

// childRole says that this process is a child of the test, and what it is to do.
const childRole = "MAYFLY_TEST_CHILD"

const (
	roleWait  = "wait"  // be there, with its arguments and environment
	rolePanic = "panic" // panic with its arguments
	// roleValues panics with everything of ours that holds a secret: the first argument is GitHub's token, the second
	// Proxmox's, the third an identity. It has them from its arguments, which are nobody's but its own.
	roleValues = "values"
)

// child does what it is told and never returns.
func child(role string) {
	switch role {
	case roleWait:
		time.Sleep(time.Minute)
		os.Exit(0)
	case rolePanic:
		panic(strings.Join(os.Args[1:], "\n"))
	}
	values, err := holders(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var printed strings.Builder
	for _, v := range values {
		fmt.Fprintf(&printed, "%v\n%+v\n%#v\n%x\n%q\n%d\n", v, v, v, v, v, v)
	}
	die(append(values, printed.String()))
}

// die panics with one value after the other, each in the panic before: the runtime prints them all.
func die(values []any) {
	if len(values) > 1 {
		defer die(values[1:])
	}
	panic(values[0])
}

// holders are all that hold secrets, as the program has them.
func holders(githubToken, proxmoxSecret, jit string) ([]any, error) {
	c, _, err := config.Load(config.LoadOptions{Env: []string{
		"PROXMOX_URL=https://127.0.0.1:1", "PROXMOX_NODE=pve1", "PROXMOX_TOKEN_ID=mayfly@pve!dispatcher",
		"PROXMOX_TOKEN_SECRET=" + proxmoxSecret, "GITHUB_TOKEN=" + githubToken, "REPO_URL=https://github.com/NREL/EnergyPlus",
	}})
	if err != nil {
		return nil, err
	}
	gh, err := github.New(github.Options{Token: c.GitHub.Token})
	if err != nil {
		return nil, err
	}
	pve, err := proxmox.New(proxmox.Options{Endpoints: c.Proxmox.Endpoints, TokenID: c.Proxmox.TokenID, TokenSecret: c.Proxmox.TokenSecret})
	if err != nil {
		return nil, err
	}
	id := runner.Identity{Name: "ep-0123456789", JITConfig: runner.NewSecret(jit)}
	token := github.RegistrationToken{Token: runner.NewSecret(jit)}
	return []any{c, *c, c.GitHub.Token, gh, pve, id, &id, token, fmt.Errorf("with %v and %+v", id, c)}, nil
}

func TestAPanicShowsNoSecret(t *testing.T) {
	const githubToken, proxmoxSecret, jit = "ghp_APanicThatShowsATokenIsALeak0000", "5c1d7f0e-9a53-4a7e-b6c1-panicpanic01", "eyJhIjoiYW4gaWRlbnRpdHkgdGhhdCBpcyBub25lIn0K"
	p := launch(t, t.TempDir(), "", process.Environment(childRole+"="+roleValues), os.Args[0], githubToken, proxmoxSecret, jit)
	_ = p.Wait()
	said := p.out.String()
	if !strings.Contains(said, "panic: ") || !strings.Contains(said, runner.Redacted) || !strings.Contains(said, "goroutine 1") {
		t.Fatalf("not the panic that it should be:\n%s", said)
	}
	var needles []needle
	for name, secret := range map[string]string{"GitHub token": githubToken, "Proxmox token secret": proxmoxSecret, "identity": jit} {
		needles = append(needles, token(name, secret)...)
	}
	mustBeClean(t, []text{{placePanic, "child", said}}, needles)
}

// TestAStackDumpInTheMiddleOfADeliveryShowsNoSecret has the runtime print every goroutine's stack, as it does for a panic,
// while an identity is on its way.
func TestAStackDumpInTheMiddleOfADeliveryShowsNoSecret(t *testing.T) {
	t.Parallel()
	l := newLife(t, 111, "text", "")
	l.fault(l.pve.URL, map[string]any{"fault": "hold_after"}, map[string]any{"method": http.MethodPost, "path": "/nodes/*/qemu/*/agent/exec", "nth": 2})
	l.queue(1)
	l.begin(true, append(l.settings(l.secrets()...), "GOTRACEBACK=system"))
	l.until("an identity was minted and is being delivered", func() bool {
		_, raw := l.minted()
		return len(raw) > 0 && l.faults(l.pve.URL)[0].Fired > 0
	})
	texts := l.end(syscall.SIGQUIT, placePanic)
	if said := l.run.out.String(); !strings.Contains(said, "SIGQUIT") || !strings.Contains(said, "handoff.(*Agent).Deliver") {
		t.Fatalf("not the dump that it should be:\n%s", said[max(0, len(said)-2000):])
	}
	// The held exec isn't over, so the tap hasn't written it down: nothing to find there.
	needles := l.known()
	identities, _ := l.minted()
	for _, n := range identities {
		needles = append(needles, n...)
	}
	mustBeClean(t, texts, needles)
}
