package gh

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRegistrationsOfARepositoryAreLimitedInFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{
			RegistrationLimit: 2, Repositories: []RepositorySpec{{Name: "NREL/EnergyPlus"}, {Name: "NREL/Other"}},
		})
		path := func(repo string) string { return "/repos/NREL/" + repo + "/actions/runners/generate-jitconfig" }
		register := func(repo, name string, want int) http.Header {
			t.Helper()
			g := b.ask(http.MethodPost, path(repo), jitBody(name, "linux"))
			if g.status != want {
				t.Errorf("%s of %s: status %d, want %d: %s", name, repo, g.status, want, g.body)
			}
			return g.header
		}
		register("EnergyPlus", "a", http.StatusCreated)
		time.Sleep(time.Minute)
		register("EnergyPlus", "b", http.StatusCreated)
		if after := register("EnergyPlus", "c", http.StatusForbidden).Get("Retry-After"); after != "240" {
			t.Errorf("Retry-After %q, want the 240 seconds until the first is 5 minutes old", after)
		}
		if after := register("energyplus", "c", http.StatusForbidden).Get("Retry-After"); after != "240" {
			t.Errorf("Retry-After %q for another spelling of the repository", after)
		}
		register("Other", "a", http.StatusCreated)
		time.Sleep(4*time.Minute - time.Second)
		register("EnergyPlus", "c", http.StatusForbidden)
		time.Sleep(time.Second)
		register("EnergyPlus", "c", http.StatusCreated)
		register("EnergyPlus", "d", http.StatusForbidden)
	})
}

func TestNothingIsRegisteredBeyondGitHubsLimit(t *testing.T) {
	b := inProcess(t, Options{RateLimit: 100000})
	made := 0
	for i := range defaultRegistrationLimit + 20 {
		g := b.ask(http.MethodPost, runners+"/generate-jitconfig", jitBody(fmt.Sprintf("r-%d", i), "linux"))
		switch {
		case g.status == http.StatusCreated:
			made++
		case g.status != http.StatusForbidden || !strings.Contains(string(g.body), "secondary rate limit"):
			t.Fatalf("status %d: %s", g.status, g.body)
		}
	}
	if made != 1500 {
		t.Errorf("%d runners were registered at once, want 1500", made)
	}
}
