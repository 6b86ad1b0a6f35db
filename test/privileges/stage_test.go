package privileges

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
	"mayfly/test/roles"
)

// versions are those that the two releases are tried as.
var versions = map[int]string{8: "8.4.14", 9: "9.2.11"}

const (
	node        = "pve1"
	tokenID     = "mayfly@pve!exactly"
	tokenSecret = "00000000-0000-4000-8000-000000000001"
)

// stage is the two stand-ins, and what is said on it.
type stage struct {
	t      *testing.T
	pve    *pve.Server
	gh     *gh.Server
	guests *world.Guests
	said   *words
}

// onStage makes the stand-ins of a release whose token may do what is needed, but for some. It is called in a bubble, and its
// end is the caller's.
func onStage(t *testing.T, release int, needs, except []roles.Need, o pve.Options) *stage {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC))) // bubbles begin in the year 2000
	s := &stage{t: t, gh: gh.New(gh.Options{}), said: &words{}}
	token, made := roles.Token(tokenID, tokenSecret, needs, except...)
	o.Release, o.Tokens, o.Roles = versions[release], []pve.Token{token}, made
	if o.Guest == nil && o.Container == nil {
		s.guests = world.NewGuests(world.GuestOptions{Boot: 12 * time.Second, Shutdown: 2 * time.Second, Transport: s.gh.RoundTripper()})
		o.Engine = s.guests
	}
	s.pve = pve.New(o)
	return s
}

func (s *stage) close() {
	s.pve.Close()
	if s.guests != nil {
		s.guests.Close()
	}
	s.gh.Close()
}

// client has the token.
func (s *stage) client() *proxmox.Client {
	s.t.Helper()
	c, err := proxmox.New(proxmox.Options{
		Endpoints: []string{"https://pve1:8006"}, TokenID: tokenID, TokenSecret: runner.NewSecret(tokenSecret), Transport: s.pve.RoundTripper(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *stage) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s.said, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// refusals are Proxmox's own words for what the token was refused, at once or in a task.
func (s *stage) refusals() []string {
	var list []string
	state := s.pve.State()
	for _, r := range state.Requests {
		if r.Status == http.StatusForbidden && r.Token == tokenID {
			list = append(list, r.Method+" "+r.Path+": "+r.Reason)
		}
	}
	for _, task := range state.Tasks {
		if strings.Contains(task.ExitStatus, "Permission check failed") {
			list = append(list, task.Type+": "+task.ExitStatus)
		}
	}
	return list
}

// words is what was said: logs and errors.
type words struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *words) add(err error) {
	if err != nil {
		_, _ = w.Write([]byte(err.Error() + "\n"))
	}
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// outcome is what became of a command.
type outcome struct {
	worked   bool
	refusals []string
	said     *words
	vms      []pve.VMState
}

func (s *stage) outcome(worked bool) outcome {
	return outcome{worked, s.refusals(), s.said, s.pve.State().VMs}
}

// names reports whether something that was said names the privilege with its path. Of a guest in a resource pool that the token
// doesn't see, Proxmox's path of the guest does; where /nodes is granted, a node does.
func (o outcome) names(n roles.Need) bool {
	paths := []string{regexp.QuoteMeta(n.Path) + `(/[^\s:;]+)?`}
	for _, vm := range o.vms {
		if n.Path == "/pool/"+vm.Pool {
			paths = append(paths, fmt.Sprintf("/vms/%d or on the resource pool that it is in", vm.VMID))
		}
	}
	form := regexp.MustCompile(`(needs|lacks) [^;\n]*\b` + regexp.QuoteMeta(n.Name) + `\b[^;\n]* on (` + strings.Join(paths, "|") + `)[:;,]`)
	return form.MatchString(o.said.String())
}

// act is a command in use: in a bubble, with a token that has what is needed but for some.
type act func(t *testing.T, release int, needs, except []roles.Need) outcome

// waitFor looks once a second of virtual time.
func waitFor(ctx context.Context, limit time.Duration, is func() bool) bool {
	for end := time.Now().Add(limit); !is(); {
		if time.Now().After(end) || ctx.Err() != nil {
			return false
		}
		time.Sleep(time.Second)
	}
	return true
}
