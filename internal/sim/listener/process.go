package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// trackingVariable is in the environment of every process of a job, and only there: so those that a step left behind
// are found at the end (actions/runner JobExtension.cs).
const trackingVariable = "RUNNER_TRACKING_ID"

// execute runs a program in a process group of its own to its end and gives its exit code; what it prints goes into the
// job's log. When ctx ends, the whole group is interrupted, then terminated, then killed.
func (j *job) execute(ctx context.Context, argv []string, dir string, env []string) (int, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdout, cmd.Stderr = j.log, j.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// From the interruption to the kill; also how long something left in the background may hold the output.
	cmd.WaitDelay = j.times.interrupt + j.times.terminate
	var terminate *time.Timer
	cmd.Cancel = func() error {
		group := -cmd.Process.Pid
		terminate = time.AfterFunc(j.times.interrupt, func() { _ = syscall.Kill(group, syscall.SIGTERM) })
		return syscall.Kill(group, syscall.SIGINT)
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", argv[0], err)
	}
	j.cheapen(cmd.Process.Pid, env)
	err := cmd.Wait()
	if terminate != nil {
		terminate.Stop()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whoever of the group is left
	}
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // what still holds the output is not the step
		return 0, nil
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, fmt.Errorf("run %s: %w", argv[0], err)
}

// What the OOM killer thinks of a job's processes, unless their environment says otherwise (actions/runner
// ProcessInvoker.cs): they go before the runner itself.
const (
	oomScoreVariable = "PIPELINE_JOB_OOMSCOREADJ"
	oomScore         = 500
)

// cheapen makes a process, and what it starts, cheap to the OOM killer. Where that isn't allowed it stays as it is.
func (j *job) cheapen(pid int, env []string) {
	score := oomScore
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, oomScoreVariable+"="); ok {
			if n, err := strconv.Atoi(value); err == nil && n >= -1000 && n <= 1000 {
				score = n
			}
		}
	}
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(strconv.Itoa(score)), 0)
}

// killOrphans kills every process that has the tracking id in its environment, but ourselves.
func killOrphans(id string) (killed []string) {
	entries, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range entries {
		env, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), trackingVariable+"="+id) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed = append(killed, strconv.Itoa(pid))
		}
	}
	return killed
}
