package proxmox

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// TaskFilter narrows [Client.Tasks]. The zero value asks for what Proxmox gives by default: the last 50 finished.
type TaskFilter struct {
	// Since leaves out what began before, to the second, by the node's clock.
	Since time.Time
	// Type is a task type, for example "qmclone".
	Type string
	// VMID is what the tasks worked on; of a clone that is the template.
	VMID int
	// Source is "all", "active" or "archive" (Proxmox's default).
	Source string
	// Limit is how many tasks to give at most; 0 is Proxmox's default, 50.
	Limit int
}

// Task is an entry of a node's task list.
type Task struct {
	UPID UPID
	Type string
	// ID is what the task works on: a VMID; of a clone the template's.
	ID string
	// User is who started it, "user@realm!token" for a token.
	User string
	// Running is true until the task has an end.
	Running bool
	// ExitStatus is "OK", "WARNINGS: n" or the text of the failure; "" while it runs.
	ExitStatus string
	Start, End time.Time
}

// Tasks reads GET /nodes/{node}/tasks, newest first. A token sees its own tasks without any privilege, others' with
// Sys.Audit on the node. (GET /cluster/tasks is empty for a token without Sys.Audit on "/".)
func (c *Client) Tasks(ctx context.Context, node string, f TaskFilter) ([]Task, error) {
	params := url.Values{}
	if !f.Since.IsZero() {
		params.Set("since", strconv.FormatInt(f.Since.Unix(), 10))
	}
	if f.Type != "" {
		params.Set("typefilter", f.Type)
	}
	if f.VMID > 0 {
		params.Set("vmid", strconv.Itoa(f.VMID))
	}
	if f.Source != "" {
		params.Set("source", f.Source)
	}
	if f.Limit > 0 {
		params.Set("limit", strconv.Itoa(f.Limit))
	}
	op := "list tasks of node " + node
	var list []struct {
		UPID    text    `json:"upid"`
		Type    text    `json:"type"`
		ID      text    `json:"id"`
		User    text    `json:"user"`
		TokenID text    `json:"tokenid"`
		Status  text    `json:"status"`
		Start   integer `json:"starttime"`
		End     integer `json:"endtime"`
	}
	err := c.do(ctx, call{op: op, method: http.MethodGet, path: nodePath(node, "tasks"), params: params, limit: remote}, &list)
	if err != nil {
		return nil, err
	}
	tasks := make([]Task, 0, len(list))
	for _, w := range list {
		upid, err := ParseUPID(string(w.UPID))
		if err != nil {
			return nil, unreadable(op, errors.New("a task without a task id"))
		}
		t := Task{
			UPID: upid, Type: string(w.Type), ID: string(w.ID), User: string(w.User),
			Running: w.End <= 0, Start: w.Start.moment(), End: w.End.moment(),
		}
		if w.TokenID != "" { // finished entries have the token apart, running ones don't
			t.User += "!" + string(w.TokenID)
		}
		if !t.Running { // a running entry's status is the word "RUNNING"
			t.ExitStatus = string(w.Status)
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// TaskStatus is how far a task is.
type TaskStatus struct {
	Running bool
	// ExitStatus is "OK", "WARNINGS: n", "unexpected status" (the worker was killed) or the text of the failure; ""
	// while it runs.
	ExitStatus string
}

// TaskStatus reads GET /nodes/{node}/tasks/{upid}/status. NotFound says that Proxmox has forgotten the task.
func (c *Client) TaskStatus(ctx context.Context, upid UPID) (TaskStatus, error) {
	op := "read status of task " + string(upid)
	path, err := taskPath(op, upid, "status")
	if err != nil {
		return TaskStatus{}, err
	}
	var w struct {
		Status     text `json:"status"`
		ExitStatus text `json:"exitstatus"`
	}
	if err := c.do(ctx, call{op: op, method: http.MethodGet, path: path, limit: remote}, &w); err != nil {
		return TaskStatus{}, err
	}
	if w.Status == "running" {
		return TaskStatus{Running: true}, nil
	}
	return TaskStatus{ExitStatus: string(w.ExitStatus)}, nil
}

// TaskLog reads lines of a task's log, the first line being number 0. A limit of 0 is Proxmox's default, 50 lines.
func (c *Client) TaskLog(ctx context.Context, upid UPID, start, limit int) ([]string, error) {
	lines, _, err := c.taskLog(ctx, upid, start, limit)
	return lines, err
}

// taskLog also tells how many lines the log has.
func (c *Client) taskLog(ctx context.Context, upid UPID, start, limit int) ([]string, int, error) {
	op := "read log of task " + string(upid)
	path, err := taskPath(op, upid, "log")
	if err != nil {
		return nil, 0, err
	}
	params := url.Values{"start": {strconv.Itoa(max(start, 0))}}
	if limit > 0 {
		params.Set("limit", strconv.Itoa(limit))
	}
	type line struct {
		N integer `json:"n"`
		T text    `json:"t"`
	}
	var list []line
	var total integer
	err = c.do(ctx, call{op: op, method: http.MethodGet, path: path, params: params, limit: remote, total: &total}, &list)
	if err != nil {
		return nil, 0, err
	}
	slices.SortStableFunc(list, func(a, b line) int { return int(a.N - b.N) })
	lines := make([]string, 0, len(list))
	for _, l := range list {
		if len(list) == 1 && l.T == noContent {
			return []string{}, 0, nil
		}
		lines = append(lines, string(l.T))
	}
	return lines, int(total), nil
}

// noContent is what Proxmox puts where a log has no line (pve-common Tools.pm, dump_logfile).
const noContent = "no content"

// StopTask ends a task (DELETE /nodes/{node}/tasks/{upid}): SIGTERM, after 5 s SIGKILL. A clone cleans up after
// itself. One's own task needs no privilege. It returns before the task has ended.
func (c *Client) StopTask(ctx context.Context, upid UPID) error {
	op := "stop task " + string(upid)
	path, err := taskPath(op, upid, "")
	if err != nil {
		return err
	}
	return c.do(ctx, call{op: op, method: http.MethodDelete, path: path, limit: change}, nil)
}

// taskPath refuses what is no UPID, because its node is part of the path.
func taskPath(op string, upid UPID, rest string) (string, error) {
	if upid.Node() == "" {
		return "", &Error{Kind: BadParameter, Op: op, Message: "not a task id"}
	}
	return nodePath(upid.Node(), "tasks", string(upid), rest), nil
}
