package gh

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const groupDocs = "actions/self-hosted-runner-groups"

// group is a runner group of an organization.
type group struct {
	id         int64
	name       string
	visibility string // "all", "private" or "selected"
	isDefault  bool
	public     bool // allows public repositories
	repos      []int64
	restricted bool
	workflows  []string // "OWNER/REPO/PATH@REF"
}

// defaultGroup is the runner group that always exists, the only one of a repository.
const defaultGroup = 1

// groupJSON is a runner group (OpenAPI, schema "runner-groups-org").
type groupJSON struct {
	ID                       int64    `json:"id"`
	Name                     string   `json:"name"`
	Visibility               string   `json:"visibility"`
	Default                  bool     `json:"default"`
	SelectedRepositoriesURL  string   `json:"selected_repositories_url,omitempty"`
	RunnersURL               string   `json:"runners_url"`
	Inherited                bool     `json:"inherited"`
	AllowsPublicRepositories bool     `json:"allows_public_repositories"`
	RestrictionsReadOnly     bool     `json:"workflow_restrictions_read_only"`
	RestrictedToWorkflows    bool     `json:"restricted_to_workflows"`
	SelectedWorkflows        []string `json:"selected_workflows"`
}

// group finds a runner group of an owner.
func (w *world) group(owner string, id int64) *group {
	all := w.groups[strings.ToLower(owner)]
	i := slices.IndexFunc(all, func(g *group) bool { return g.id == id })
	if i < 0 {
		return nil
	}
	return all[i]
}

// admits reports whether the group lets its runners take the job.
func (g *group) admits(j *job) bool {
	repo := j.run.repo
	switch {
	case repo.public && !g.public,
		g.visibility == "private" && repo.public,
		g.visibility == "selected" && !slices.Contains(g.repos, repo.id):
		return false
	case !g.restricted:
		return true
	}
	workflow := fmt.Sprintf("%s/.github/workflows/%s@", repo, j.run.file())
	return slices.ContainsFunc(g.workflows, func(s string) bool {
		return strings.EqualFold(s, workflow+j.run.branch) || strings.EqualFold(s, workflow+"refs/heads/"+j.run.branch)
	})
}

func (c *call) renderGroup(g *group) groupJSON {
	url := fmt.Sprintf("%s/orgs/%s/actions/runner-groups/%d", c.base(), c.args["org"], g.id)
	out := groupJSON{
		ID: g.id, Name: g.name, Visibility: g.visibility, Default: g.isDefault, RunnersURL: url + "/runners",
		AllowsPublicRepositories: g.public, RestrictedToWorkflows: g.restricted, SelectedWorkflows: append([]string{}, g.workflows...),
	}
	if g.visibility == "selected" {
		out.SelectedRepositoriesURL = url + "/repositories"
	}
	return out
}

// listGroups answers GET /orgs/{org}/actions/runner-groups.
func (s *Server) listGroups(c *call) reply {
	all := s.world.groups[c.org]
	if name := c.query("visible_to_repository"); name != "" {
		repo := s.world.repository(c.org, name)
		if repo == nil {
			return notFound(groupDocs)
		}
		visible := []*group{}
		for _, g := range all {
			if (!repo.public || g.public) && (g.visibility != "selected" || slices.Contains(g.repos, repo.id)) {
				visible = append(visible, g)
			}
		}
		all = visible
	}
	return list(c, all, func(part []*group) any {
		out := make([]groupJSON, 0, len(part))
		for _, g := range part {
			out = append(out, c.renderGroup(g))
		}
		return struct {
			TotalCount int         `json:"total_count"`
			Groups     []groupJSON `json:"runner_groups"`
		}{len(all), out}
	})
}

// createGroup answers POST /orgs/{org}/actions/runner-groups.
func (s *Server) createGroup(c *call) reply {
	var body struct {
		Name         *string  `json:"name"`
		Visibility   string   `json:"visibility"`
		Repositories []int64  `json:"selected_repository_ids"`
		Runners      []int64  `json:"runners"`
		Public       bool     `json:"allows_public_repositories"`
		Restricted   bool     `json:"restricted_to_workflows"`
		Workflows    []string `json:"selected_workflows"`
	}
	if refusal, ok := c.decode(&body); !ok {
		return refusal
	}
	if body.Visibility == "" {
		body.Visibility = "all"
	}
	switch {
	case body.Name == nil || strings.TrimSpace(*body.Name) == "":
		return invalid(`"name" wasn't supplied.`)
	case !slices.Contains([]string{"all", "private", "selected"}, body.Visibility):
		return invalid(fmt.Sprintf("For 'properties/visibility', %q is not one of selected, all, private.", body.Visibility))
	}
	var members []*registration
	for _, id := range body.Runners {
		r := s.world.registrations[id]
		if r == nil || !r.removed.IsZero() || r.repo != "" || !strings.EqualFold(r.owner, c.org) {
			return problem(http.StatusUnprocessableEntity, fmt.Sprintf("Validation Failed: runner %d is not one of this organization", id), groupDocs)
		}
		members = append(members, r)
	}
	for _, g := range s.world.groups[c.org] {
		if strings.EqualFold(g.name, *body.Name) {
			return problem(http.StatusConflict, fmt.Sprintf("Already exists - A runner group with the name %s already exists.", *body.Name), groupDocs)
		}
	}
	g := &group{
		id: s.world.id("group"), name: *body.Name, visibility: body.Visibility, public: body.Public, repos: body.Repositories,
		restricted: body.Restricted, workflows: body.Workflows,
	}
	s.world.groups[c.org] = append(s.world.groups[c.org], g)
	for _, r := range members {
		r.groupID = g.id
	}
	return answer(http.StatusCreated, c.renderGroup(g))
}
