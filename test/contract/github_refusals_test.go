package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"mayfly/internal/sim/gh"
)

// nowhere fills paths with a repository that exists and things that don't.
var nowhere = object{
	"owner": "NREL", "repo": "EnergyPlus", "org": "NREL", "run_id": 1, "attempt_number": 1, "job_id": 1, "runner_id": 1,
	"workflow_id": "none.yml", "name": "none",
}

// described are the stand-in's endpoints that GitHub describes.
func described() []gh.Endpoint {
	var out []gh.Endpoint
	for _, e := range gh.Endpoints() {
		if !undescribed[e.Method+" "+e.Path] {
			out = append(out, e)
		}
	}
	return out
}

// refusals asks every endpoint for what nobody may have, and for what isn't there.
func (b *githubBench) refusals() {
	for _, e := range described() {
		path, body := fill(e.Path, nowhere), object{"ref": "main"}
		b.ask(http.StatusUnauthorized, e.Method, path, "-", body, nil)
		b.ask(http.StatusUnauthorized, e.Method, path, "no-such-token", body, nil)
		if strings.Contains(e.Path, "/actions/") {
			b.ask(http.StatusForbidden, e.Method, path, narrow, body, nil)
		}
		if strings.Contains(e.Path, "{") {
			b.ask(http.StatusNotFound, e.Method, path, elsewhere, body, nil)
		}
		switch {
		case strings.Contains(e.Path, "_id}"):
			b.ask(http.StatusNotFound, e.Method, path, "", body, nil)
		case strings.Contains(e.Path, "{owner}"):
			b.ask(http.StatusNotFound, e.Method, fill(e.Path, object{"owner": "NREL", "repo": "none"}), "", body, nil)
		case strings.Contains(e.Path, "{org}"):
			b.ask(http.StatusNotFound, e.Method, fill(e.Path, object{"org": "nobody"}), "", body, nil)
		}
	}
}

// faults plays every fault that answers something on every endpoint.
func (b *githubBench) faults() {
	statuses := map[string]int{
		"500": 500, "502": 502, "503": 503, "500_after": 500, "502_after": 502, "503_after": 503, "403_secondary": 403, "429": 429,
	}
	for kind, status := range statuses {
		for _, e := range described() {
			if _, err := b.s.Fault(gh.FaultSpec{Kind: kind}); err != nil {
				b.t.Fatal(err)
			}
			b.ask(status, e.Method, fill(e.Path, nowhere), "", object{"ref": "main"}, nil)
			b.s.ClearFaults(0)
		}
	}
	for _, kind := range []string{"partial_list", "empty_list"} {
		for _, path := range []string{
			repoRunner, orgRunner, repoPath + "/actions/runs", "/orgs/NREL/actions/runner-groups", repoRunner + "/downloads", "/user",
		} {
			if _, err := b.s.Fault(gh.FaultSpec{Kind: kind}); err != nil {
				b.t.Fatal(err)
			}
			b.ask(http.StatusOK, http.MethodGet, path, "", nil, nil)
			b.s.ClearFaults(0)
		}
	}
}

// rateLimit asks every endpoint when the hour's requests are used up: GitHub answers 403 or 429.
func (b *githubBench) rateLimit() {
	b.s.SetRateLimit("", 0)
	for _, e := range described() {
		if e.Path != "/rate_limit" {
			b.ask(http.StatusForbidden, e.Method, fill(e.Path, nowhere), "", object{"ref": "main"}, nil)
		}
	}
	b.get("/rate_limit", nil)
	b.s.SetRateLimit("", 5000)

	o := contractOptions()
	o.RateLimitStatus = http.StatusTooManyRequests
	other := newGitHubBench(b.t, o)
	other.s.SetRateLimit("", 0)
	other.ask(http.StatusTooManyRequests, http.MethodGet, repoRunner, "", nil, nil)
}

func TestCheckAgainstGitHubsDescriptionCatchesABrokenReply(t *testing.T) {
	s := loadGitHubSpec(t)
	const (
		good = `{"id":7,"name":"ep-1","os":"Linux","status":"online","busy":false,"ephemeral":true,"runner_group_id":1,
			"labels":[{"id":1,"name":"self-hosted","type":"read-only"}],"version":"2.336.0"}`
		path = repoRunner + "/7"
	)
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	if err := s.check(http.MethodGet, path, http.StatusOK, header, []byte(good)); err != nil {
		t.Fatalf("a good reply: %v", err)
	}
	for name, change := range map[string][2]string{
		"a number in quotes":     {`"id":7`, `"id":"7"`},
		"a missing field":        {`"busy":false,`, ``},
		"null where none may be": {`"name":"ep-1"`, `"name":null`},
		"a field misspelt":       {`"runner_group_id"`, `"runner_groupid"`},
		"a value not listed":     {`"read-only"`, `"readonly"`},
		"a field too deep":       {`"id":1,`, `"id":{"v":1},`},
		"a list instead":         {good, `[` + good + `]`},
		"no JSON":                {good, `<html>`},
	} {
		broken := strings.Replace(good, change[0], change[1], 1)
		if broken == good {
			t.Fatalf("%s: nothing to break", name)
		}
		if s.check(http.MethodGet, path, http.StatusOK, header, []byte(broken)) == nil {
			t.Errorf("%s passes: %s", name, broken)
		}
	}
	wrong := http.Header{"Content-Type": {"text/html"}}
	problem := `{"message":"Not Found","documentation_url":"https://docs.github.com/rest","status":"404"}`
	for name, err := range map[string]error{
		"content type":         s.check(http.MethodGet, path, http.StatusOK, wrong, []byte(good)),
		"unknown status":       s.check(http.MethodGet, path, http.StatusTeapot, header, []byte(good)),
		"201 instead of 200":   s.check(http.MethodGet, path, http.StatusCreated, header, []byte(good)),
		"unknown path":         s.check(http.MethodGet, "/repos/a/b/actions/walkers", http.StatusOK, header, []byte(good)),
		"unknown method":       s.check(http.MethodPatch, path, http.StatusOK, header, []byte(good)),
		"body with 204":        s.check(http.MethodDelete, path, http.StatusNoContent, header, []byte(good)),
		"body with 304":        s.check(http.MethodGet, path, http.StatusNotModified, header, []byte(good)),
		"error without words":  s.check(http.MethodGet, path, http.StatusNotFound, header, []byte(`{}`)),
		"error in HTML":        s.check(http.MethodGet, path, http.StatusNotFound, wrong, []byte(problem)),
		"error of wrong types": s.check(http.MethodGet, path, http.StatusNotFound, header, []byte(strings.Replace(problem, `"404"`, `404`, 1))),
	} {
		if err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if err := s.check(http.MethodGet, path, http.StatusNotFound, header, []byte(problem)); err != nil {
		t.Errorf("a good error: %v", err)
	}
}
