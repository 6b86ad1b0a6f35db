package gh

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mayfly/internal/sim/runnerproto"
)

// Limits of registrations.
const (
	// maxName and forbiddenInName are in the server's own words (runs-on/runs-on#523).
	maxName         = 64
	forbiddenInName = "\"/:<>\\|*?"
	// maxLabels is that of the OpenAPI description, maxLabel that of actions/runner (Validators.cs).
	maxLabels = 100
	maxLabel  = 256
	// maxRunners is how many runners a group holds (GitHub docs, "Actions limits").
	maxRunners = 10_000
	// defaultWorkFolder is the description's.
	defaultWorkFolder = "_work"
)

// newRunner is what a registration is made from.
type newRunner struct {
	owner, repo   string // repo is "" for an organization's runner
	name          string
	labels        []string
	groupID       int64
	workFolder    string
	ephemeral     bool
	disableUpdate bool
}

// fault names what is wrong with a runner's name.
func nameFault(name string) string {
	if utf8.RuneCountInString(name) <= maxName && !strings.ContainsAny(name, forbiddenInName) {
		return ""
	}
	return fmt.Sprintf("The runner name %q is invalid: a name has at most %d characters and none of \" / : < > \\ | * ?", name, maxName)
}

// labelFault names what is wrong with labels.
func labelFault(labels []string, least int) string {
	switch {
	case len(labels) < least:
		return fmt.Sprintf("For 'properties/labels', %d is not enough items: at least %d must be supplied.", len(labels), least)
	case len(labels) > maxLabels:
		return fmt.Sprintf("For 'properties/labels', %d items are too many: no more than %d are allowed.", len(labels), maxLabels)
	}
	for _, l := range labels {
		if strings.TrimSpace(l) == "" || utf8.RuneCountInString(l) > maxLabel || strings.Contains(l, ",") {
			return fmt.Sprintf("Label %q is invalid: a label has 1 to %d characters and no comma.", l, maxLabel)
		}
	}
	return ""
}

// distinct keeps the first of labels that differ in case only.
func distinct(labels []string) []string {
	out := []string{}
	for _, l := range labels {
		if !hasLabel(out, l) {
			out = append(out, l)
		}
	}
	return out
}

func hasLabel(labels []string, l string) bool {
	return slices.ContainsFunc(labels, func(x string) bool { return strings.EqualFold(x, l) })
}

// named finds the live registration of a name in a scope.
func (w *world) named(owner, repo, name string) *registration {
	for _, r := range w.live {
		if r.in(owner, repo) && strings.EqualFold(r.name, name) {
			return r
		}
	}
	return nil
}

// in reports whether the registration is of that repository, or of that organization where repo is "".
func (r *registration) in(owner, repo string) bool {
	return strings.EqualFold(r.owner, owner) && strings.EqualFold(r.repo, repo)
}

// full reports whether the group that the registration would go into has no room.
func (w *world) full(n newRunner) bool {
	count := 0
	for _, r := range w.live {
		if r.in(n.owner, n.repo) && r.groupID == n.groupID {
			count++
		}
	}
	return count >= maxRunners
}

// enrol makes the registration. The caller has checked everything.
func (s *Server) enrol(c *call, n newRunner) (*registration, string) {
	w := &s.world
	if n.workFolder == "" {
		n.workFolder = defaultWorkFolder
	}
	id := w.id("runner")
	r := &registration{
		id: id, name: n.name, owner: n.owner, repo: n.repo, labels: distinct(n.labels), groupID: cmp.Or(n.groupID, defaultGroup),
		workFolder: n.workFolder, ephemeral: n.ephemeral, disableUpdate: n.disableUpdate,
		secret: seeded(w.opts.Seed, "runner", id).text(52), created: c.now,
	}
	w.registrations[id], w.bySecret[r.secret] = r, r
	w.live = append(w.live, r)
	w.pace.count(n.owner, n.repo, c.now)
	w.opts.Logger.Info("runner registered", "runner", r.name)
	return r, s.configuration(c, r)
}

// configuration is what the runner is handed: where this server is, as seen from the runner, and who it is.
func (s *Server) configuration(c *call, r *registration) string {
	base := cmp.Or(strings.TrimRight(s.opts.RunnerURL, "/"), c.web())
	h := seeded(s.opts.Seed, "client", r.id).hex(32)
	encoded, err := runnerproto.Encode(runnerproto.Config{
		AgentID: r.id, Name: r.name, PoolID: r.groupID, PoolName: s.world.groupName(r.owner, r.groupID),
		ServerURL: base + runnerPath, WorkFolder: r.workFolder, Ephemeral: r.ephemeral, DisableUpdate: r.disableUpdate,
		ClientID:         fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:]),
		AuthorizationURL: base + runnerPath + "/oauth2/token", Token: r.secret, RSA: runnerKey(),
	})
	if err != nil {
		panic(fmt.Sprintf("sim/gh: %v", err)) // strings, numbers and bytes always encode
	}
	return encoded
}

// newTicket makes a registration or remove token for the scope that the call names.
func (s *Server) newTicket(c *call, remove bool) reply {
	for secret, t := range s.world.tickets {
		if !c.now.Before(t.expires) {
			delete(s.world.tickets, secret)
		}
	}
	owner, repo := c.scope()
	expires := c.now.Add(tokenLife)
	secret := "A" + strings.ToUpper(seeded(s.opts.Seed, "ticket", s.world.id("ticket")).text(28))
	s.world.tickets[secret] = ticket{owner: owner, repo: repo, expires: expires, remove: remove}
	return answer(http.StatusCreated, struct {
		Token     string `json:"token"`
		ExpiresAt string `json:"expires_at"`
	}{secret, expires.UTC().Format(time.RFC3339Nano)})
}

// scope is what the path names: a repository, or an organization with repo "".
func (c *call) scope() (owner, repo string) {
	if c.repo != nil {
		return c.repo.owner, c.repo.name
	}
	return c.args["org"], ""
}
