package check_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mayfly/internal/canary"
	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/record"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
	"mayfly/test/roles"
)

const (
	testToken  = "mayfly@pve!dispatcher"
	testSecret = "00000000-0000-4000-8000-000000000001"
)

// setting is the two stand-ins and what is configured for them.
type setting struct {
	pve      pve.Options
	gh       gh.Options
	env      []string
	file     func(*config.Config) // changes what was loaded
	features []check.Feature
	// limitLeft is how many requests the token of GitHub has left; 0 is all.
	limitLeft int
	handOff   func() (map[fleet.Way]fleet.Seeder, error)
	token     string                // of Proxmox; "" is the stand-in's own, with the privileges of a dispatcher
	audits    bool                  // the token has Sys.Audit on "/"
	server    func(*pve.Server)     // changes the stand-in beforehand
	admin     func(*proxmox.Client) // changes the cluster beforehand, as its administrator
	canary    bool
	ctx       func(context.Context) context.Context // the checks'
	late      func(*pve.Server)                     // looks at the stand-in afterwards
	record    *record.Recorder                      // keeps what the servers answer
	save      string                                // the folder for it
	// after is done with what was found, while the servers are there; admin is the cluster's administrator.
	after   func(ctx context.Context, c *config.Config, p, admin *proxmox.Client, found []check.Finding)
	through func(http.RoundTripper) http.RoundTripper // is between the checks and both servers
}

// look makes all checks against stand-ins in process, in virtual time.
func look(t *testing.T, s setting) (found []check.Finding) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		guests := world.NewGuests(world.GuestOptions{})
		defer guests.Close()
		s.pve.Engine = guests
		if s.audits {
			token, made := roles.Token(testToken, testSecret, auditing(t, s.features))
			s.pve.Tokens, s.pve.Roles, s.token = append(s.pve.Tokens, token), append(s.pve.Roles, made...), testToken
		}
		proxmoxServer, githubServer := pve.New(s.pve), gh.New(s.gh)
		defer proxmoxServer.Close()
		defer githubServer.Close()
		info := proxmoxServer.Info()
		id, secret := info.TokenID, info.TokenSecret
		if s.token != "" {
			id, secret = s.token, testSecret
		}
		c, _, err := config.Load(config.LoadOptions{Env: append([]string{
			"PROXMOX_URL=" + info.URL, "PROXMOX_NODE=" + info.Node, "PROXMOX_TOKEN_ID=" + id, "PROXMOX_TOKEN_SECRET=" + secret,
			"PROXMOX_POOL=" + info.ResourcePool, "PROXMOX_FINGERPRINT=" + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
			"REPO_OWNER=NREL", "REPO_NAME=EnergyPlus", "GITHUB_TOKEN=" + githubServer.Info().Token, "RUNNER_LABELS=energyplus,linux",
			"RUNNER_ID_START=300", "RUNNER_ID_END=319", "MAX_TOTAL_RUNNERS=4",
		}, s.env...)})
		if err != nil {
			t.Fatal(err)
		}
		c.Image.ResourcePool = "ci-templates"
		if s.file != nil {
			s.file(c)
		}
		if s.server != nil {
			s.server(proxmoxServer)
		}
		if s.limitLeft > 0 {
			githubServer.SetRateLimit("", s.limitLeft)
		}
		var admin *proxmox.Client
		if s.admin != nil || s.after != nil {
			var err error
			admin, err = proxmox.New(proxmox.Options{
				Endpoints: c.Proxmox.Endpoints, TokenID: info.AdminTokenID, TokenSecret: runner.NewSecret(info.AdminTokenSecret), Transport: proxmoxServer.RoundTripper(),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if s.admin != nil {
			s.admin(admin)
		}
		if s.through == nil {
			s.through = func(next http.RoundTripper) http.RoundTripper { return next }
		}
		p, err := proxmox.New(proxmox.Options{
			Endpoints: c.Proxmox.Endpoints, TokenID: id, TokenSecret: runner.NewSecret(secret), Transport: s.through(proxmoxServer.RoundTripper()), Wrap: wrap(s.record, (*record.Recorder).Proxmox),
		})
		if err != nil {
			t.Fatal(err)
		}
		g, err := github.New(github.Options{Token: c.GitHub.Token, Transport: s.through(githubServer.RoundTripper()), Wrap: wrap(s.record, (*record.Recorder).GitHub)})
		if err != nil {
			t.Fatal(err)
		}
		o := check.Options{Config: c, Proxmox: p, GitHub: g, Features: s.features, HandOff: s.handOff}
		if s.canary {
			o.Canary = &canary.Orders{Proxmox: p, TokenID: id}
		}
		ctx := t.Context()
		if s.ctx != nil {
			ctx = s.ctx(ctx)
		}
		found = check.Look(ctx, o)
		if s.late != nil {
			s.late(proxmoxServer)
		}
		if s.save != "" {
			if err := s.record.Save(s.save, c); err != nil {
				t.Fatal(err)
			}
		}
		if s.after != nil {
			s.after(t.Context(), c, p, admin, found)
		}
	})
	return found
}

// wrap is a recorder's place before a transport; nil without one.
func wrap(r *record.Recorder, place func(*record.Recorder, http.RoundTripper) http.RoundTripper) func(http.RoundTripper) http.RoundTripper {
	if r == nil {
		return nil
	}
	return func(next http.RoundTripper) http.RoundTripper { return place(r, next) }
}

// auditing are the privileges of the features and of the command check.
func auditing(t *testing.T, features []check.Feature) []roles.Need {
	file := roles.Read(t)
	needs := file.Needs(t, "check", 9)
	if len(features) == 0 {
		features = []check.Feature{check.Run}
	}
	for _, f := range features {
		needs = append(needs, file.Needs(t, string(f), 9)...)
	}
	return needs
}

// bad are the findings of something that isn't well.
func bad(list []check.Finding) []check.Finding {
	return slices.DeleteFunc(slices.Clone(list), func(f check.Finding) bool { return f.Level == check.OK || f.Level == check.Unseen })
}

// finding gives the one with that id that isn't well, and the whole list in the failure when there is none.
func finding(t *testing.T, list []check.Finding, id string) check.Finding {
	t.Helper()
	for _, f := range list {
		if f.ID == id && f.Level != check.OK {
			return f
		}
	}
	t.Fatalf("no finding %s among %+v", id, bad(list))
	return check.Finding{}
}
