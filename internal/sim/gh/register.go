package gh

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"mayfly/internal/sim/runnerproto"
)

// The type names of refusals (actions/runner src/Sdk/DTWebApi/WebApi/Exceptions.cs).
const (
	typeUnauthorized = "VssUnauthorizedException"
	typeInvalid      = "ArgumentException"
	typeAgentExists  = "GitHub.DistributedTask.WebApi.TaskAgentExistsException"
	typeAgentGone    = "GitHub.DistributedTask.WebApi.TaskAgentNotFoundException"
	typeJobRunning   = "GitHub.DistributedTask.WebApi.TaskAgentJobStillRunningException"
	typeJobGone      = "GitHub.DistributedTask.WebApi.TaskOrchestrationJobNotFoundException"
	typeConflict     = "GitHub.DistributedTask.WebApi.TaskAgentSessionConflictException"
	typeExpired      = "GitHub.DistributedTask.WebApi.TaskAgentSessionExpiredException"
	typeDeprecated   = "GitHub.DistributedTask.WebApi.RunnerVersionDeprecatedException"
)

// refuse is a refusal in the form of the runner protocol.
func refuse(status int, typeName, message string) reply {
	return answer(status, runnerproto.ErrorBody{TypeName: typeName, Message: message})
}

// configLabels are what config.sh adds unless --no-default-labels (actions/runner ConfigurationManager.cs).
var configLabels = []string{"self-hosted", "Linux", "X64"}

// register answers POST /actions/runner-registration, with which config.sh makes a registration from a registration
// token. GitHub's reply sends the runner on to a service that isn't public; ours answers with the registration.
func (s *Server) register(c *call) reply {
	scheme, secret, _ := strings.Cut(c.header.Get("Authorization"), " ")
	t, known := s.world.tickets[strings.TrimSpace(secret)]
	if !strings.EqualFold(scheme, "RemoteAuth") || !known || t.remove || !c.now.Before(t.expires) {
		return refuse(http.StatusUnauthorized, typeUnauthorized, "The registration token is unknown or has expired.")
	}
	var body runnerproto.RegisterRequest
	if refusal, ok := c.decode(&body); !ok {
		return refusal
	}
	n := newRunner{
		owner: t.owner, repo: t.repo, name: body.Name, labels: body.Labels, groupID: defaultGroup, workFolder: body.WorkFolder,
		ephemeral: body.Ephemeral, disableUpdate: body.DisableUpdate,
	}
	if !body.NoDefaultLabels {
		n.labels = append(append([]string{}, configLabels...), body.Labels...)
	}
	if refusal, ok := s.checkRegister(t, body, &n); !ok {
		return refusal
	}
	if old := s.world.named(n.owner, n.repo, n.name); old != nil {
		switch {
		case !body.Replace:
			return refuse(http.StatusConflict, typeAgentExists, "A runner exists with the same name "+n.name+".")
		case old.busy():
			return refuse(http.StatusBadRequest, typeJobRunning, fmt.Sprintf("Runner %q is still running a job.", n.name))
		}
		s.world.remove(old, "replaced", c.now)
	}
	if wait := s.world.pace.wait(n.owner, n.repo, s.opts.RegistrationLimit, c.now); wait > 0 {
		return refuse(http.StatusTooManyRequests, typeInvalid, "Too many runners were registered in 5 minutes.")
	}
	_, encoded := s.enrol(c, n)
	return answer(http.StatusOK, runnerproto.Registered{JIT: encoded})
}

// checkRegister refuses what can't be registered, and finds the runner group.
func (s *Server) checkRegister(t ticket, body runnerproto.RegisterRequest, n *newRunner) (reply, bool) {
	bad := func(why string) (reply, bool) { return refuse(http.StatusBadRequest, typeInvalid, why), false }
	want := strings.Trim(t.owner+"/"+t.repo, "/")
	target, err := url.Parse(body.URL)
	if err != nil || !strings.EqualFold(strings.Trim(target.Path, "/"), want) {
		return bad(fmt.Sprintf("The URL %q is not that of %s, which the token is for.", body.URL, want))
	}
	if n.name == "" {
		return bad("A runner needs a name.")
	}
	if why := nameFault(n.name); why != "" {
		return bad(why)
	}
	if why := labelFault(n.labels, 0); why != "" {
		return bad(why)
	}
	if body.RunnerGroup != "" {
		n.groupID = 0
		for _, g := range s.world.groups[strings.ToLower(t.owner)] {
			if strings.EqualFold(g.name, body.RunnerGroup) && (t.repo == "" || g.isDefault) {
				n.groupID = g.id
			}
		}
		if n.groupID == 0 {
			return bad(fmt.Sprintf("Could not find any self-hosted runner group named %q.", body.RunnerGroup))
		}
	}
	if s.world.full(*n) {
		return bad(groupIsFull(n.groupID))
	}
	return reply{}, true
}
