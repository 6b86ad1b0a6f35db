package gh

import (
	"encoding/json"
	"strings"
)

// headOfRun is a run's head_repository: the fork of its pull request, null when that was deleted. A run of
// "workflow_run" is of the repository itself, whatever it follows.
func (w *world) headOfRun(c *call, r *run) json.RawMessage {
	if r.event == "workflow_run" {
		return w.renderRepository(c, r.repo)
	}
	return w.head(c, r)
}

// head is the repository that a run's code comes from.
func (w *world) head(c *call, r *run) json.RawMessage {
	switch r.head {
	case "", r.repo.String():
		return w.renderRepository(c, r.repo)
	case DeletedFork:
		return json.RawMessage("null")
	}
	return w.rendered("fork "+r.head+" "+c.base(), func() any {
		owner, name, _ := strings.Cut(r.head, "/")
		id := int64(seeded(0, "fork", strings.ToLower(r.head))%1_000_000_000) + forkIDs //nolint:gosec // below 2^32
		fork := w.minimalRepository(c, &repository{id: id, owner: owner, name: name, public: true})
		fork["fork"] = true
		return fork
	})
}

// forkIDs is above the ids of repositories that the stand-in serves.
const forkIDs = 1_000_000_000

// payload is the webhook payload of the event that started a run, as far as it says whose code it is (GitHub docs,
// "Webhook events and payloads": pull_request…, workflow_run; others have the repository).
func (w *world) payload(c *call, r *run) json.RawMessage {
	repo := w.renderRepository(c, r.repo)
	event := map[string]any{"repository": repo, "sender": w.renderUser(c, r.actor, "User")}
	switch {
	case strings.HasPrefix(r.event, "pull_request"):
		event["action"], event["number"] = "synchronize", r.number
		event["pull_request"] = map[string]any{
			"number": r.number, "title": "Change the thing", "state": "open", "user": w.renderUser(c, r.actor, "User"),
			"head": map[string]any{"ref": r.branch, "sha": r.sha, "repo": w.head(c, r)},
			"base": map[string]any{"ref": "main", "repo": repo},
		}
	case r.event == "workflow_run":
		event["action"] = "completed"
		event["workflow_run"] = map[string]any{"id": r.id - 1, "event": "pull_request", "head_branch": r.branch, "head_repository": w.head(c, r), "repository": repo}
	default:
		event["ref"] = "refs/heads/" + r.branch
	}
	text, err := json.Marshal(event)
	if err != nil {
		panic("sim/gh: payload: " + err.Error()) // maps of texts and of JSON always encode
	}
	return text
}
