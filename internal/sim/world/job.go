package world

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/sim/runnerproto"
)

// do runs a job's steps one after the other, each in a shell of its own that ends at the first command that fails, and
// then lets the time pass that the job was said to last.
//
// A job that the policy forbids has no step run, whatever its condition: the hook ends the listener, and GitHub is told a
// failure (actions/runner StepsRunner.cs, RunnerShutdownToken).
func (m *machine) do(ctx context.Context, msg runnerproto.Message, p policy, log func(string)) runnerproto.Result {
	if key := p.refusal(msg); key != "" {
		log(fmt.Sprintf("##[error]Pool %s refuses this job by %s.\n", p.pool, key))
		return runnerproto.Failed
	}
	repo := path.Base(msg.Repository)
	dir := path.Join(workDir, repo, repo)
	m.disk.mkdir(dir)
	env := []string{
		"CI=true", "GITHUB_ACTIONS=true", "GITHUB_ACTOR=" + msg.Actor, "GITHUB_API_URL=" + msg.APIURL, "GITHUB_EVENT_NAME=" + msg.Event,
		"GITHUB_JOB=" + msg.Name, "GITHUB_REF=" + msg.Ref, "GITHUB_REPOSITORY=" + msg.Repository, "GITHUB_RUN_ATTEMPT=" + strconv.Itoa(max(1, msg.Attempt)),
		"GITHUB_RUN_ID=" + strconv.FormatInt(msg.RunID, 10), "GITHUB_RUN_NUMBER=" + strconv.Itoa(msg.RunNumber), "GITHUB_SERVER_URL=" + msg.ServerURL,
		"GITHUB_SHA=" + msg.SHA, "GITHUB_WORKFLOW=" + msg.Workflow, "GITHUB_WORKSPACE=" + dir, "HOME=/home/runner", "HOSTNAME=" + m.hostname(),
		"RUNNER_ARCH=X64", "RUNNER_ENVIRONMENT=self-hosted", "RUNNER_NAME=" + m.once.name, "RUNNER_OS=Linux", "RUNNER_TEMP=" + path.Join(workDir, "_temp"), "USER=runner",
	}
	for k, v := range msg.Env {
		env = append(env, k+"="+v)
	}
	m.disk.mkdir(path.Join(workDir, "_temp"))
	if m.behaviour == DiesInJob {
		sleep(ctx, msg.Duration()/2)
		m.crash()
		<-m.ctx.Done()
		return runnerproto.Failed
	}
	result := runnerproto.Succeeded
	for i, step := range msg.Steps {
		if ctx.Err() != nil {
			break
		}
		runs, known := step.Runs(result == runnerproto.Failed, false)
		if !known {
			log("##[error]Unrecognized condition: " + step.If + "\n")
			result = runnerproto.Failed
		}
		if !runs {
			continue
		}
		title := step.Name
		if title == "" {
			title = "Run " + strings.SplitN(strings.TrimSpace(step.Run), "\n", 2)[0]
		}
		o := m.shell(ctx, dir, env, "", true).run(step.Run)
		log(fmt.Sprintf("##[group]%s\n##[endgroup]\n%s%s", title, o.out, o.err))
		if o.code != 0 {
			log(fmt.Sprintf("##[error]Process completed with exit code %d.\n", o.code))
			result = runnerproto.Failed
			m.log.Debug("step failed", "step", i+1, "code", o.code)
		}
	}
	if result == runnerproto.Succeeded && msg.Duration() > 0 {
		sleep(ctx, msg.Duration())
	}
	if msg.Fail {
		result = runnerproto.Failed
	}
	return result
}

// maxStep bounds a step whose sleep was never meant.
const maxStep = 6 * time.Hour
