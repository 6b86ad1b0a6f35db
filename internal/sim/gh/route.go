package gh

import "strings"

// route is an endpoint of the REST API.
type route struct {
	method  string
	pattern string // "/repos/{owner}/{repo}/…"
	// need is the permission of a fine-grained token, "administration=write"; "" is none.
	need string
	// docs is the page of GitHub's REST documentation that errors link to.
	docs string
	// free requests don't count against the primary limit.
	free   bool
	handle func(*Server, *call) reply

	segments []string // of pattern
}

// Endpoint is an endpoint of the REST API, as GitHub's OpenAPI description writes it.
type Endpoint struct {
	Method string
	Path   string // "/repos/{owner}/{repo}/actions/runs"
}

// Endpoints are all endpoints of the REST API that the stand-in serves.
func Endpoints() []Endpoint {
	var out []Endpoint
	for _, r := range routes() {
		out = append(out, Endpoint{r.method, r.pattern})
	}
	return out
}

// Permissions as X-Accepted-GitHub-Permissions spells them (GitHub docs, "Permissions required for fine-grained
// personal access tokens").
const (
	metadataRead = "metadata=read"
	actionsRead  = "actions=read"
	actionsWrite = "actions=write"
	adminRead    = "administration=read"
	adminWrite   = "administration=write"
	orgRead      = "organization_self_hosted_runners=read"
	orgWrite     = "organization_self_hosted_runners=write"
)

// routes are all endpoints.
func routes() []route {
	const (
		repo    = "/repos/{owner}/{repo}"
		actions = repo + "/actions"
		runs    = "actions/workflow-runs"
		jobs    = "actions/workflow-jobs"
	)
	all := []route{
		{method: "GET", pattern: "/rate_limit", docs: "rate-limit/rate-limit", free: true, handle: (*Server).getRateLimit},
		{method: "GET", pattern: "/user", docs: "users/users", handle: (*Server).getUser},
		{method: "GET", pattern: repo, need: metadataRead, docs: "repos/repos", handle: (*Server).getRepository},

		{method: "GET", pattern: actions + "/runs", need: actionsRead, docs: runs, handle: (*Server).listRuns},
		{method: "GET", pattern: actions + "/runs/{run_id}", need: actionsRead, docs: runs, handle: (*Server).getRun},
		{method: "DELETE", pattern: actions + "/runs/{run_id}", need: actionsWrite, docs: runs, handle: (*Server).deleteRun},
		{method: "POST", pattern: actions + "/runs/{run_id}/cancel", need: actionsWrite, docs: runs, handle: (*Server).cancelRun},
		{method: "POST", pattern: actions + "/runs/{run_id}/force-cancel", need: actionsWrite, docs: runs, handle: (*Server).forceCancelRun},
		{method: "POST", pattern: actions + "/runs/{run_id}/rerun", need: actionsWrite, docs: runs, handle: (*Server).rerunAll},
		{method: "POST", pattern: actions + "/runs/{run_id}/rerun-failed-jobs", need: actionsWrite, docs: runs, handle: (*Server).rerunFailed},
		{method: "POST", pattern: actions + "/workflows/{workflow_id}/dispatches", need: actionsWrite, docs: "actions/workflows", handle: (*Server).dispatch},

		{method: "GET", pattern: actions + "/runs/{run_id}/jobs", need: actionsRead, docs: jobs, handle: (*Server).listJobs},
		{method: "GET", pattern: actions + "/runs/{run_id}/attempts/{attempt_number}/jobs", need: actionsRead, docs: jobs, handle: (*Server).listAttemptJobs},
		{method: "GET", pattern: actions + "/jobs/{job_id}", need: actionsRead, docs: jobs, handle: (*Server).getJob},
		{method: "POST", pattern: actions + "/jobs/{job_id}/rerun", need: actionsWrite, docs: jobs, handle: (*Server).rerunJob},

		{method: "GET", pattern: "/orgs/{org}/actions/runner-groups", need: orgRead, docs: "actions/self-hosted-runner-groups", handle: (*Server).listGroups},
		{method: "POST", pattern: "/orgs/{org}/actions/runner-groups", need: orgWrite, docs: "actions/self-hosted-runner-groups", handle: (*Server).createGroup},

		{method: "POST", pattern: "/actions/runner-registration", docs: "actions/self-hosted-runners", free: true, handle: (*Server).register},
	}
	all = append(all, runnerRoutes(actions, adminRead, adminWrite)...)
	all = append(all, runnerRoutes("/orgs/{org}/actions", orgRead, orgWrite)...)
	for i := range all {
		all[i].segments = strings.Split(strings.Trim(all[i].pattern, "/"), "/")
	}
	return all
}

// runnerRoutes are the endpoints of self-hosted runners, which repositories and organizations have alike.
func runnerRoutes(base, read, write string) []route {
	const docs = "actions/self-hosted-runners"
	return []route{
		{method: "GET", pattern: base + "/runners", need: read, docs: docs, handle: (*Server).listRunners},
		{method: "GET", pattern: base + "/runners/downloads", need: read, docs: docs, handle: (*Server).listDownloads},
		{method: "POST", pattern: base + "/runners/generate-jitconfig", need: write, docs: docs, handle: (*Server).generateJIT},
		{method: "POST", pattern: base + "/runners/registration-token", need: write, docs: docs, handle: (*Server).registrationToken},
		{method: "POST", pattern: base + "/runners/remove-token", need: write, docs: docs, handle: (*Server).removeToken},
		{method: "GET", pattern: base + "/runners/{runner_id}", need: read, docs: docs, handle: (*Server).getRunner},
		{method: "DELETE", pattern: base + "/runners/{runner_id}", need: write, docs: docs, handle: (*Server).deleteRunner},
		{method: "GET", pattern: base + "/runners/{runner_id}/labels", need: read, docs: docs, handle: (*Server).listLabels},
		{method: "POST", pattern: base + "/runners/{runner_id}/labels", need: write, docs: docs, handle: (*Server).addLabels},
		{method: "PUT", pattern: base + "/runners/{runner_id}/labels", need: write, docs: docs, handle: (*Server).setLabels},
		{method: "DELETE", pattern: base + "/runners/{runner_id}/labels", need: write, docs: docs, handle: (*Server).clearLabels},
		{method: "DELETE", pattern: base + "/runners/{runner_id}/labels/{name}", need: write, docs: docs, handle: (*Server).removeLabel},
	}
}

// find is the route of a request, with the arguments in its path. Literal segments win over arguments because they
// are listed first.
func find(all []route, method, path string) (route, map[string]string, bool) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
next:
	for _, r := range all {
		if r.method != method && (r.method != "GET" || method != "HEAD") {
			continue
		}
		if len(r.segments) != len(segments) {
			continue
		}
		args := map[string]string{}
		for i, p := range r.segments {
			if strings.HasPrefix(p, "{") {
				args[strings.Trim(p, "{}")] = segments[i]
			} else if p != segments[i] {
				continue next
			}
		}
		return r, args, true
	}
	return route{}, nil, false
}
