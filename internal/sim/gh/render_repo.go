package gh

import (
	"encoding/json"
	"fmt"
	"strings"
)

// repositoryURLs are the addresses of a repository in the API, by field and by what follows its own address (OpenAPI,
// schema "minimal-repository").
var repositoryURLs = map[string]string{
	"archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}", "blobs_url": "/git/blobs{/sha}",
	"branches_url": "/branches{/branch}", "collaborators_url": "/collaborators{/collaborator}", "comments_url": "/comments{/number}",
	"commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}", "contents_url": "/contents/{+path}",
	"contributors_url": "/contributors", "deployments_url": "/deployments", "downloads_url": "/downloads", "events_url": "/events",
	"forks_url": "/forks", "git_commits_url": "/git/commits{/sha}", "git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}",
	"hooks_url": "/hooks", "issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}",
	"issues_url": "/issues{/number}", "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}", "languages_url": "/languages",
	"merges_url": "/merges", "milestones_url": "/milestones{/number}", "notifications_url": "/notifications{?since,all,participating}",
	"pulls_url": "/pulls{/number}", "releases_url": "/releases{/id}", "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}",
	"subscribers_url": "/subscribers", "subscription_url": "/subscription", "tags_url": "/tags", "teams_url": "/teams",
	"trees_url": "/git/trees{/sha}", "url": "",
}

// renderRepository gives a repository as runs show it.
func (w *world) renderRepository(c *call, r *repository) json.RawMessage {
	key := fmt.Sprintf("repository %d %s", r.id, c.base())
	return w.rendered(key, func() any { return w.minimalRepository(c, r) })
}

func (w *world) minimalRepository(c *call, r *repository) map[string]any {
	api := c.base() + "/repos/" + r.String()
	out := map[string]any{
		"id": r.id, "node_id": nodeID("R", r.id), "name": r.name, "full_name": r.String(), "private": !r.public,
		"owner": w.renderUser(c, r.owner, "Organization"), "html_url": c.web() + "/" + r.String(), "description": nil, "fork": false,
	}
	for field, tail := range repositoryURLs {
		out[field] = api + tail
	}
	return out
}

// rendered keeps what never changes.
func (w *world) rendered(key string, build func() any) json.RawMessage {
	if b, ok := w.cache[key]; ok {
		return b
	}
	b := json.RawMessage(answer(0, build()).body)
	w.cache[key] = b
	return b
}

// getRepository answers GET /repos/{owner}/{repo}.
func (s *Server) getRepository(c *call) reply {
	r := c.repo
	out := s.world.minimalRepository(c, r)
	web := c.web() + "/" + r.String()
	visibility := "private"
	if r.public {
		visibility = "public"
	}
	write := c.token.sees(r)
	for field, value := range map[string]any{
		"visibility": visibility, "default_branch": "main", "archived": false, "disabled": false, "is_template": false,
		"clone_url": web + ".git", "git_url": "git://" + c.host + "/" + r.String() + ".git", "ssh_url": "git@" + c.host + ":" + r.String() + ".git",
		"svn_url": web, "mirror_url": nil, "homepage": nil, "language": nil, "license": nil, "topics": []string{},
		"forks": 0, "forks_count": 0, "network_count": 0, "open_issues": 0, "open_issues_count": 0, "size": 108, "stargazers_count": 0,
		"subscribers_count": 0, "watchers": 0, "watchers_count": 0,
		"has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false, "has_downloads": true, "has_discussions": false,
		"created_at": stamp(s.world.born), "updated_at": stamp(s.world.born), "pushed_at": stamp(s.world.born),
		"permissions":        map[string]bool{"admin": write, "maintain": write, "push": write, "triage": write, "pull": true},
		"allow_squash_merge": true, "allow_merge_commit": true, "allow_rebase_merge": true, "allow_forking": true,
		"web_commit_signoff_required": false,
	} {
		out[field] = value
	}
	return answer(200, out)
}

// renderUser gives a user or organization (OpenAPI, schema "simple-user").
func (w *world) renderUser(c *call, login, kind string) json.RawMessage {
	return w.rendered("user "+login+" "+c.base(), func() any { return simpleUser(c, login, kind) })
}

func simpleUser(c *call, login, kind string) map[string]any {
	id := int64(seeded(0, "user", strings.ToLower(login))%100_000_000) + 1 //nolint:gosec // below 2^31
	api := c.base() + "/users/" + login
	return map[string]any{
		"login": login, "id": id, "node_id": nodeID("U", id), "avatar_url": fmt.Sprintf("%s/avatars/u/%d", c.web(), id),
		"gravatar_id": "", "url": api, "html_url": c.web() + "/" + login, "followers_url": api + "/followers",
		"following_url": api + "/following{/other_user}", "gists_url": api + "/gists{/gist_id}", "starred_url": api + "/starred{/owner}{/repo}",
		"subscriptions_url": api + "/subscriptions", "organizations_url": api + "/orgs", "repos_url": api + "/repos",
		"events_url": api + "/events{/privacy}", "received_events_url": api + "/received_events", "type": kind, "site_admin": false,
	}
}
