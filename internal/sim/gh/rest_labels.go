package gh

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// labelJSON is a runner's label (OpenAPI, schema "runner-label").
type labelJSON struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// ownLabels are those that GitHub itself gives: nobody can remove them (OpenAPI, example of runner-labels-readonly).
var ownLabels = []string{"self-hosted", "Linux", "Windows", "macOS", "X64", "X86", "ARM", "ARM64"}

func (w *world) renderLabels(names []string) []labelJSON {
	out := make([]labelJSON, 0, len(names))
	for _, name := range names {
		key := strings.ToLower(name)
		if w.labels[key] == 0 {
			w.labels[key] = w.id("label")
		}
		kind := "custom"
		if hasLabel(ownLabels, name) {
			kind = "read-only"
		}
		out = append(out, labelJSON{w.labels[key], name, kind})
	}
	return out
}

// labelList is the reply of every label endpoint.
func (s *Server) labelList(r *registration) reply {
	labels := s.world.renderLabels(r.labels)
	return answer(http.StatusOK, struct {
		TotalCount int         `json:"total_count"`
		Labels     []labelJSON `json:"labels"`
	}{len(labels), labels})
}

// listLabels answers GET …/runners/{runner_id}/labels.
func (s *Server) listLabels(c *call) reply {
	r := s.findRunner(c)
	if r == nil {
		return notFound(runnerDocs)
	}
	return s.labelList(r)
}

// addLabels answers POST …/runners/{runner_id}/labels.
func (s *Server) addLabels(c *call) reply {
	return s.changeLabels(c, 1, func(have, more []string) []string { return append(have, more...) })
}

// setLabels answers PUT …/runners/{runner_id}/labels: GitHub's own labels stay.
func (s *Server) setLabels(c *call) reply {
	return s.changeLabels(c, 0, func(have, more []string) []string { return append(onlyOwn(have), more...) })
}

func (s *Server) changeLabels(c *call, least int, change func(have, more []string) []string) reply {
	var body struct {
		Labels []string `json:"labels"`
	}
	r := s.findRunner(c)
	if r == nil {
		return notFound(runnerDocs)
	}
	if refusal, ok := c.decode(&body); !ok {
		return refusal
	}
	if body.Labels == nil {
		return invalid(`"labels" wasn't supplied.`)
	}
	if why := labelFault(body.Labels, least); why != "" {
		return invalid(why)
	}
	next := distinct(change(slices.Clone(r.labels), body.Labels))
	if len(next) > maxLabels {
		return invalid(labelFault(next, 0))
	}
	return s.relabel(c, r, next)
}

func onlyOwn(labels []string) []string {
	return slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return !hasLabel(ownLabels, l) })
}

// clearLabels answers DELETE …/runners/{runner_id}/labels.
func (s *Server) clearLabels(c *call) reply {
	r := s.findRunner(c)
	if r == nil {
		return notFound(runnerDocs)
	}
	return s.relabel(c, r, onlyOwn(r.labels))
}

// removeLabel answers DELETE …/runners/{runner_id}/labels/{name}.
func (s *Server) removeLabel(c *call) reply {
	r, name := s.findRunner(c), c.args["name"]
	switch {
	case r == nil || !hasLabel(r.labels, name):
		return notFound(runnerDocs)
	case hasLabel(ownLabels, name):
		return problem(http.StatusUnprocessableEntity, fmt.Sprintf("Label %q is read-only and can't be removed", name), runnerDocs)
	}
	return s.relabel(c, r, slices.DeleteFunc(slices.Clone(r.labels), func(l string) bool { return strings.EqualFold(l, name) }))
}

func (s *Server) relabel(c *call, r *registration, labels []string) reply {
	r.labels = labels
	s.world.match(c.now)
	s.world.wakeAll()
	return s.labelList(r)
}
