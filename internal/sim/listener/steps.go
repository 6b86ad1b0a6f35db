package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// Hooks around a job (actions/runner docs/adrs/1751-runner-job-hooks.md): absolute paths of scripts, run as the runner's
// user, whose failure fails the job.
const (
	hookStarted   = "ACTIONS_RUNNER_HOOK_JOB_STARTED"
	hookCompleted = "ACTIONS_RUNNER_HOOK_JOB_COMPLETED"
)

// hookGrace bounds the completed hook of a job that was cancelled (docs: five minutes from the cancellation to the end).
const hookGrace = 5 * time.Minute

// work runs hooks and steps in order: after a failure, of a hook, too, those whose condition says so, and the last hook.
// Once the runner shuts down nothing more begins, whatever its condition (StepsRunner.cs).
func (j *job) work() taskResult {
	w, err := j.prepare()
	if err != nil {
		j.log.line("##[error]" + err.Error())
		return j.outcome(true)
	}
	defer w.cleanUp()
	failed := !j.hook(j.ctx, w, "Set up runner", hookStarted)
	for i, step := range j.msg.Steps {
		if j.ctx.Err() != nil {
			break
		}
		runs, known := step.Runs(failed, false)
		if !known {
			j.log.line("##[error]Unrecognized condition: " + step.If)
			failed = true
		}
		if !runs {
			continue
		}
		name := step.Name
		if name == "" {
			name = "Run " + strconv.Itoa(i+1)
		}
		failed = !j.script(j.ctx, w, name, step.Run) || failed
	}
	if !failed {
		failed = j.msg.Fail
		sleep(j.ctx, j.msg.Duration())
	}
	// Decided now: what comes later is too late to cancel.
	result := j.outcome(failed)
	if result == resultAbandoned {
		return result
	}
	if cause := context.Cause(j.ctx); cause != nil {
		j.log.line("##[error]" + cause.Error())
		if errors.Is(cause, errShutdown) {
			j.shutDown = true
			return result // there is no time for hooks
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(j.ctx), hookGrace)
	defer cancel()
	if !j.hook(last, w, "Complete runner", hookCompleted) && result == resultSucceeded {
		result = resultFailed
	}
	return result
}

// hook runs the script that a variable names; true when there is none.
func (j *job) hook(ctx context.Context, w *workspace, title, variable string) bool {
	path := j.variable(variable)
	if path == "" || ctx.Err() != nil {
		return true
	}
	j.log.line("##[group]" + title)
	// JobHookProvider.cs runs it with bash, where there is one, and -e.
	j.log.line("A job hook has been configured by the self-hosted runner administrator: " + path)
	j.log.line("##[endgroup]")
	if _, err := os.Stat(path); err != nil || !filepath.IsAbs(path) {
		j.log.line("##[error]File doesn't exist: " + path)
		return false
	}
	shell := "/bin/sh"
	if bash, err := exec.LookPath("bash"); err == nil {
		shell = bash
	}
	return j.command(ctx, w, []string{shell, "-e", path}, true)
}

// script runs a step: its text goes into a file, as at GitHub, and /bin/sh -e runs that.
func (j *job) script(ctx context.Context, w *workspace, title, text string) bool {
	j.log.line("##[group]" + title)
	j.log.line(text)
	j.log.line("shell: /bin/sh -e {0}")
	j.log.line("##[endgroup]")
	file, err := os.CreateTemp(w.temp, "*.sh")
	if err == nil {
		_, err = file.WriteString(text + "\n")
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		j.log.line("##[error]" + err.Error())
		return false
	}
	return j.command(ctx, w, []string{"/bin/sh", "-e", file.Name()}, false)
}

// command runs a program and takes over what it left in the command files. It reports whether all went well.
func (j *job) command(ctx context.Context, w *workspace, argv []string, hook bool) bool {
	files, err := w.commandFiles()
	if err != nil {
		j.log.line("##[error]" + err.Error())
		return false
	}
	code, err := j.execute(ctx, argv, w.dir, w.environment(files, hook))
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		j.log.line("##[error]" + err.Error())
		return false
	case code != 0:
		j.log.line(fmt.Sprintf("##[error]Process completed with exit code %d.", code))
		return false
	}
	if err := w.adopt(files); err != nil {
		j.log.line("##[error]" + err.Error())
		return false
	}
	return true
}
