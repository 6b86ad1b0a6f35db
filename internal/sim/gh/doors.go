package gh

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// door answers the test doors, which only clients on this machine may use and which need no token:
//
//	GET    /_sim/state               State
//	POST   /_sim/jobs                queues jobs: jobsBody; answers {"ids": […]}
//	POST   /_sim/jobs/{id}/cancel    Server.CancelJob
//	POST   /_sim/jobs/{id}/release   Server.Release
//	GET    /_sim/faults              the faults in place
//	POST   /_sim/faults              arms one: a FaultSpec; answers {"id": n}
//	POST   /_sim/faults/release?id=n lets go what it holds
//	DELETE /_sim/faults?id=n         removes it; all without id
//	POST   /_sim/rate_limit          {"remaining": n} of the first token: Server.SetRateLimit
func (s *Server) door(c *call) reply {
	if !c.loopback() {
		return shut(http.StatusForbidden, errors.New("doors are for clients on this machine"))
	}
	path := strings.TrimPrefix(c.path, "/_sim")
	if rest, ok := strings.CutPrefix(path, "/jobs/"); ok && c.method == http.MethodPost {
		return s.jobDoor(rest)
	}
	switch c.method + " " + path {
	case "GET /state":
		return answer(http.StatusOK, s.State())
	case "POST /jobs":
		return s.jobsDoor(c)
	case "POST /rate_limit":
		var body struct {
			Remaining int `json:"remaining"`
		}
		if err := c.strict(&body); err != nil {
			return shut(http.StatusBadRequest, fmt.Errorf("rate limit: %w", err))
		}
		return answer(http.StatusOK, map[string]bool{"set": s.SetRateLimit("", body.Remaining)})
	case "GET /faults", "POST /faults", "DELETE /faults", "POST /faults/release":
		return s.faultDoor(c, path == "/faults/release")
	}
	return shut(http.StatusNotFound, fmt.Errorf("no door %s %s", c.method, c.path))
}

// shut is a door's refusal.
func shut(status int, err error) reply {
	return answer(status, map[string]string{"error": err.Error()})
}

// strict reads a door's body: a key that it doesn't know is a mistake.
func (c *call) strict(into any) error {
	body := c.body
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	return nil
}

// jobsBody is the body of POST /_sim/jobs; see [JobSpec].
type jobsBody struct {
	Count      int               `json:"count"`
	PerRun     int               `json:"per_run"`
	Labels     []string          `json:"labels"`
	Steps      []StepSpec        `json:"steps"`
	DurationMS int64             `json:"duration_ms"`
	Fail       bool              `json:"fail"`
	Env        map[string]string `json:"env"`
	Repository string            `json:"repository"`
	Name       string            `json:"name"`
	Workflow   string            `json:"workflow"`
	Event      string            `json:"event"`
	Branch     string            `json:"branch"`
	Actor      string            `json:"actor"`
	Head       string            `json:"head"`
	Status     string            `json:"status"`
}

// UnmarshalJSON implements [json.Unmarshaler]: a step may be just its script.
func (s *StepSpec) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte(`"`)) {
		return json.Unmarshal(data, &s.Run)
	}
	type plain StepSpec
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode((*plain)(s)); err != nil {
		return fmt.Errorf("step: %w", err)
	}
	return nil
}

func (s *Server) jobsDoor(c *call) reply {
	var b jobsBody
	if err := c.strict(&b); err != nil {
		return shut(http.StatusBadRequest, fmt.Errorf("add jobs: %w", err))
	}
	ids, err := s.addJobs(JobSpec{
		Count: b.Count, PerRun: b.PerRun, Labels: b.Labels, Steps: b.Steps, Duration: time.Duration(b.DurationMS) * time.Millisecond,
		Fail: b.Fail, Env: b.Env, Repository: b.Repository, Name: b.Name, Workflow: b.Workflow, Event: b.Event, Branch: b.Branch,
		Actor: b.Actor, Head: b.Head, Status: b.Status,
	})
	if err != nil {
		return shut(http.StatusBadRequest, err)
	}
	return answer(http.StatusOK, map[string][]int64{"ids": ids})
}

// jobDoor does something to one job; rest is "{id}/{verb}".
func (s *Server) jobDoor(rest string) reply {
	number, verb, _ := strings.Cut(rest, "/")
	id, err := strconv.ParseInt(number, 10, 64)
	var done bool
	switch {
	case err != nil:
		return shut(http.StatusNotFound, fmt.Errorf("no job %q", number))
	case verb == "cancel":
		done = s.CancelJob(id)
	case verb == "release":
		done = s.Release(id)
	default:
		return shut(http.StatusNotFound, fmt.Errorf("no door %q of a job: want cancel or release", verb))
	}
	if !done {
		return shut(http.StatusNotFound, fmt.Errorf("%s job %d: no such job in a state for that", verb, id))
	}
	return answer(http.StatusOK, empty{})
}

func (s *Server) faultDoor(c *call, release bool) reply {
	var id int64
	if q := c.query("id"); q != "" {
		n, err := strconv.ParseInt(q, 10, 64)
		if err != nil {
			return shut(http.StatusBadRequest, fmt.Errorf("id %q: want a number", q))
		}
		id = n
	}
	switch {
	case release && !s.ReleaseFault(id):
		return shut(http.StatusNotFound, fmt.Errorf("release fault %d: no such fault", id))
	case release:
		return answer(http.StatusOK, map[string]bool{"released": true})
	case c.method == http.MethodDelete:
		return answer(http.StatusOK, map[string]int{"removed": s.ClearFaults(id)})
	case c.method == http.MethodGet:
		return answer(http.StatusOK, s.Faults())
	}
	var spec FaultSpec
	err := c.strict(&spec)
	if err == nil {
		id, err = s.Fault(spec)
	}
	if err != nil {
		return shut(http.StatusBadRequest, err)
	}
	return answer(http.StatusOK, map[string]int64{"id": id})
}
