package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	gh "github.com/google/go-github/v88/github"

	"mayfly/internal/runner"
)

// workflowFile is the name of a file in .github/workflows.
var workflowFile = regexp.MustCompile(`^[A-Za-z0-9._ -]{1,200}\.ya?ml$`)

// Dispatch starts a workflow that has the trigger workflow_dispatch (POST
// /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches, permission "Actions: write"). workflow is the name of its
// file in .github/workflows, ref a branch or tag that has it. GitHub makes the run a moment later. [Invalid] is a workflow
// without that trigger or a ref that isn't there, [NotFound] a file that isn't, [MaybeHappened] a run that may come.
func (c *Client) Dispatch(ctx context.Context, t runner.Target, workflow, ref string) error {
	op := fmt.Sprintf("start workflow %s of %s on %s", workflow, t, ref)
	if err := check(op, t); err != nil {
		return err
	}
	if !workflowFile.MatchString(workflow) || ref == "" {
		return &Error{Kind: Invalid, Op: op, Message: "that is no workflow's file, such as build.yml, or no branch"}
	}
	_, res, err := do(ctx, c, op, mutation, func(ctx context.Context) (*gh.WorkflowDispatchRunDetails, *gh.Response, error) {
		return c.gh.Actions.CreateWorkflowDispatchEventByFileName(ctx, t.Owner, t.Repo, strings.ReplaceAll(workflow, " ", "%20"), gh.CreateWorkflowDispatchEventRequest{Ref: ref})
	})
	var e *Error
	switch {
	case errors.As(err, &e):
		switch e.Kind {
		case NotFound:
			e.Hint = "name a file of .github/workflows on the default branch, and give the token \"Actions: read and write\""
		case Invalid:
			e.Hint = "the workflow needs the trigger workflow_dispatch, on that branch"
		}
		return e
	case res.StatusCode != http.StatusNoContent && res.StatusCode != http.StatusOK:
		return &Error{Kind: MaybeHappened, Op: op, Status: res.StatusCode, Message: "an answer that a start never has", Hint: hintLook}
	}
	return nil
}
