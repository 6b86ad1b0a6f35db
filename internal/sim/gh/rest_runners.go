package gh

import (
	"fmt"
	"net/http"
)

const runnerDocs = "actions/self-hosted-runners"

// runnerJSON is a runner (OpenAPI, schema "runner").
type runnerJSON struct {
	ID            int64       `json:"id"`
	Name          string      `json:"name"`
	OS            string      `json:"os"`
	Status        string      `json:"status"`
	Busy          bool        `json:"busy"`
	Ephemeral     bool        `json:"ephemeral"`
	Labels        []labelJSON `json:"labels"`
	RunnerGroupID int64       `json:"runner_group_id"`
	Version       string      `json:"version,omitempty"` // known once it has connected
}

// renderRunner gives the runner as the API shows it.
func (s *Server) renderRunner(c *call, r *registration) runnerJSON {
	out := runnerJSON{
		ID: r.id, Name: r.name, OS: "unknown", Status: "offline", Busy: r.busy(), Ephemeral: r.ephemeral,
		Labels: s.world.renderLabels(r.labels), RunnerGroupID: r.groupID, Version: r.version,
	}
	if !r.firstSeen.IsZero() {
		out.OS = r.os
	}
	if r.online(c.now) {
		out.Status = "online"
	}
	return out
}

// listRunners answers GET …/actions/runners, all or the one of that exact name.
func (s *Server) listRunners(c *call) reply {
	owner, repo := c.scope()
	name, one := c.query("name"), c.url.Query().Has("name")
	found := []*registration{}
	for _, r := range s.world.listed(c.now) {
		if r.in(owner, repo) && (!one || r.name == name) {
			found = append(found, r)
		}
	}
	return list(c, found, func(part []*registration) any {
		out := make([]runnerJSON, 0, len(part))
		for _, r := range part {
			out = append(out, s.renderRunner(c, r))
		}
		return struct {
			TotalCount int          `json:"total_count"`
			Runners    []runnerJSON `json:"runners"`
		}{len(found), out}
	})
}

// findRunner is the live registration that the path names, of the scope that it names.
func (s *Server) findRunner(c *call) *registration {
	owner, repo := c.scope()
	r := s.world.registrations[c.number("runner_id")]
	if r == nil || !r.removed.IsZero() || !r.in(owner, repo) {
		return nil
	}
	return r
}

// getRunner answers GET …/actions/runners/{runner_id}.
func (s *Server) getRunner(c *call) reply {
	r := s.findRunner(c)
	if r == nil {
		return notFound(runnerDocs)
	}
	return answer(http.StatusOK, s.renderRunner(c, r))
}

// tooManyRunners refuses one more registration.
func tooManyRunners(group int64) reply {
	return problem(http.StatusUnprocessableEntity, groupIsFull(group), runnerDocs)
}

// groupIsFull are the words of ggml-org/llama.cpp#7893.
func groupIsFull(group int64) string {
	return fmt.Sprintf("Runner group %d has reached max limit of %d runners", group, maxRunners)
}

// deleteRunner answers DELETE …/actions/runners/{runner_id}. While the runner runs a job that is refused
// (cybozu-go/meows#136 quotes the words); 204 is a promise that no job will land on it any more.
func (s *Server) deleteRunner(c *call) reply {
	r := s.findRunner(c)
	switch {
	case r == nil:
		return notFound(runnerDocs)
	case r.busy():
		return problem(http.StatusUnprocessableEntity, fmt.Sprintf("Bad request - Runner %q is still running a job", r.name), runnerDocs)
	}
	s.world.remove(r, "removed by "+c.token.login, c.now)
	return nothing(http.StatusNoContent)
}

// generateJIT answers POST …/actions/runners/generate-jitconfig: one ephemeral registration with the labels given and
// no others.
func (s *Server) generateJIT(c *call) reply {
	var body struct {
		Name       *string  `json:"name"`
		GroupID    *int64   `json:"runner_group_id"`
		Labels     []string `json:"labels"`
		WorkFolder string   `json:"work_folder"`
	}
	if refusal, ok := c.decode(&body); !ok {
		return refusal
	}
	switch {
	case body.Name == nil || *body.Name == "":
		return invalid(`"name" wasn't supplied.`)
	case body.GroupID == nil:
		return invalid(`"runner_group_id" wasn't supplied.`)
	case body.Labels == nil:
		return invalid(`"labels" wasn't supplied.`)
	}
	if why := labelFault(body.Labels, 1); why != "" {
		return invalid(why)
	}
	if why := nameFault(*body.Name); why != "" {
		return problem(http.StatusBadRequest, why, runnerDocs)
	}
	owner, repo := c.scope()
	n := newRunner{
		owner: owner, repo: repo, name: *body.Name, labels: body.Labels, groupID: *body.GroupID, workFolder: body.WorkFolder, ephemeral: true,
	}
	switch {
	case (repo != "" && n.groupID != defaultGroup) || s.world.group(owner, n.groupID) == nil:
		return problem(http.StatusUnprocessableEntity, fmt.Sprintf("Runner group %d does not exist", n.groupID), runnerDocs)
	case s.world.named(owner, repo, n.name) != nil:
		return problem(http.StatusConflict, "Already exists - A runner with the name "+n.name+" already exists.", runnerDocs)
	case s.world.full(n):
		return tooManyRunners(n.groupID)
	}
	if refusal, hasty := s.hasty(owner, repo, c.now); hasty {
		return refusal
	}
	r, encoded := s.enrol(c, n)
	return answer(http.StatusCreated, struct {
		Runner  runnerJSON `json:"runner"`
		Encoded string     `json:"encoded_jit_config"`
	}{s.renderRunner(c, r), encoded})
}

// registrationToken answers POST …/actions/runners/registration-token.
func (s *Server) registrationToken(c *call) reply { return s.newTicket(c, false) }

// removeToken answers POST …/actions/runners/remove-token.
func (s *Server) removeToken(c *call) reply { return s.newTicket(c, true) }

// application is a package of the runner (OpenAPI, schema "runner-application").
type application struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	DownloadURL  string `json:"download_url"`
	Filename     string `json:"filename"`
	Checksum     string `json:"sha256_checksum"`
}

// currentRunner is the version that listDownloads offers.
const currentRunner = "2.336.0"

// listDownloads answers GET …/actions/runners/downloads. Nothing is behind the addresses.
func (s *Server) listDownloads(c *call) reply {
	out := []application{}
	for _, p := range []struct{ os, arch, ext string }{
		{"osx", "x64", "tar.gz"},
		{"osx", "arm64", "tar.gz"},
		{"linux", "x64", "tar.gz"},
		{"linux", "arm", "tar.gz"},
		{"linux", "arm64", "tar.gz"},
		{"win", "x64", "zip"},
		{"win", "arm64", "zip"},
	} {
		file := fmt.Sprintf("actions-runner-%s-%s-%s.%s", p.os, p.arch, currentRunner, p.ext)
		out = append(out, application{
			OS: p.os, Architecture: p.arch, Filename: file, Checksum: seeded(0, "download", file).hex(64),
			DownloadURL: fmt.Sprintf("%s/actions/runner/releases/download/v%s/%s", c.web(), currentRunner, file),
		})
	}
	return answer(http.StatusOK, out)
}
