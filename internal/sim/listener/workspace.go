package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// workspace is where a job works, and the environment that its steps have.
type workspace struct {
	j    *job
	dir  string // GITHUB_WORKSPACE
	temp string // RUNNER_TEMP
	id   string // of its processes
	env  map[string]string
	path []string // added by GITHUB_PATH, the last first
}

// prepare makes the folders of a job: _work/REPO/REPO, _work/_temp (emptied), _work/_tool, as the real runner does.
func (j *job) prepare() (*workspace, error) {
	work := j.cfg.WorkFolder
	if work == "" {
		work = "_work"
	}
	if !filepath.IsAbs(work) {
		work = j.path(work)
	}
	owner, repo, _ := strings.Cut(j.msg.Repository, "/")
	pipeline := filepath.Join(work, repo)
	w := &workspace{
		j: j, dir: filepath.Join(pipeline, repo), temp: filepath.Join(work, "_temp"),
		id: "github_" + strings.ToLower(rand.Text()),
	}
	if err := os.RemoveAll(w.temp); err != nil {
		return nil, fmt.Errorf("prepare workspace: %w", err)
	}
	tools := filepath.Join(work, "_tool")
	commands := filepath.Join(w.temp, "_runner_file_commands")
	event := filepath.Join(w.temp, "_github_workflow", "event.json")
	for _, dir := range []string{w.dir, commands, filepath.Dir(event), tools} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("prepare workspace: %w", err)
		}
	}
	payload := j.msg.Payload
	if payload == nil {
		payload = json.RawMessage("{}")
	}
	if err := os.WriteFile(event, payload, 0o644); err != nil {
		return nil, fmt.Errorf("prepare workspace: %w", err)
	}
	w.env = map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", trackingVariable: w.id,
		"GITHUB_ACTION": "__run", "GITHUB_ACTOR": j.msg.Actor, "GITHUB_API_URL": j.msg.APIURL,
		"GITHUB_EVENT_NAME": j.msg.Event, "GITHUB_EVENT_PATH": event, "GITHUB_JOB": j.msg.Name,
		"GITHUB_REF": j.msg.Ref, "GITHUB_REF_NAME": refName(j.msg.Ref), "GITHUB_REPOSITORY": j.msg.Repository,
		"GITHUB_REPOSITORY_OWNER": owner, "GITHUB_RUN_ATTEMPT": strconv.Itoa(max(1, j.msg.Attempt)),
		"GITHUB_RUN_ID": strconv.FormatInt(j.msg.RunID, 10), "GITHUB_RUN_NUMBER": strconv.Itoa(j.msg.RunNumber),
		"GITHUB_SERVER_URL": j.msg.ServerURL, "GITHUB_SHA": j.msg.SHA, "GITHUB_WORKFLOW": j.msg.Workflow,
		"GITHUB_WORKSPACE": w.dir,
		"RUNNER_ARCH":      "X64", "RUNNER_ENVIRONMENT": "self-hosted", "RUNNER_NAME": j.cfg.Name, "RUNNER_OS": "Linux",
		"RUNNER_TEMP": w.temp, "RUNNER_TOOL_CACHE": tools, "RUNNER_WORKSPACE": pipeline,
	}
	return w, nil
}

func refName(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/", "refs/pull/"} {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			return name
		}
	}
	return ref
}

// cleanUp ends what the job left running.
func (w *workspace) cleanUp() {
	if killed := killOrphans(w.id); len(killed) > 0 {
		w.j.log.line("Cleaning up orphan processes")
		w.j.log.line("Terminate orphan process: pid " + joined(killed))
	}
}

// environment is what a step sees: the runner's own, the workflow's, GitHub's. A hook doesn't get the workflow's
// (actions/runner JobHookProvider.cs, an empty environment; ScriptHandler.cs adds only the github and runner contexts).
func (w *workspace) environment(files map[string]string, hook bool) []string {
	env := map[string]string{}
	for _, entry := range w.j.env {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	if !hook {
		maps.Copy(env, w.j.msg.Env)
	}
	maps.Copy(env, w.env)
	maps.Copy(env, files)
	if len(w.path) > 0 {
		env["PATH"] = strings.Join(append(slices.Clone(w.path), env["PATH"]), ":")
	}
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}
