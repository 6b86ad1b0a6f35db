package github

import "testing"

func TestJobsOfAForkAreTold(t *testing.T) {
	repo := func(id any, name string) object { return object{"id": id, "full_name": name} }
	for name, tc := range map[string]struct {
		event string
		head  any
		fork  bool
		from  string
	}{
		"own":                        {"pull_request", repo(7, "octo-org/octo-repo"), false, "octo-org/octo-repo"},
		"own after a new name":       {"pull_request", repo(7, "octo-org/renamed"), false, "octo-org/renamed"},
		"a fork":                     {"pull_request", repo(8, "mallory/octo-repo"), true, "mallory/octo-repo"},
		"a fork that took the name":  {"pull_request_target", repo(8, "octo-org/octo-repo"), true, "octo-org/octo-repo"},
		"a deleted fork":             {"pull_request", nil, true, ""},
		"a push without a head":      {"push", nil, false, ""},
		"a fork without id":          {"pull_request", object{"full_name": "mallory/octo-repo"}, true, "mallory/octo-repo"},
		"own without id, other case": {"pull_request", object{"full_name": "Octo-Org/octo-repo"}, false, "Octo-Org/octo-repo"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.addRun(5, "queued", queued(50))
			f.runs[0]["event"], f.runs[0]["head_repository"] = tc.event, tc.head
			f.runs[0]["repository"] = repo(7, "octo-org/octo-repo")
			got, err := newClient(t, f).Jobs(t.Context(), octo)
			if err != nil || len(got) != 1 {
				t.Fatalf("%+v, %v", got, err)
			}
			if j := got[0]; j.Event != tc.event || j.Fork != tc.fork || j.HeadRepository != tc.from {
				t.Errorf("event %q, fork %v, head %q", j.Event, j.Fork, j.HeadRepository)
			}
		})
	}
}
