package proxmox

import (
	"context"
	"regexp"
	"strings"
)

var succeeded = regexp.MustCompile(`^(?:OK|WARNINGS: \d+)$`)

// TaskError turns a task's exit status into an error: nil for "OK" and "WARNINGS: n" (done, with remarks in the log).
// Where the status alone doesn't tell the cause ("start failed: QEMU exited with code 1"), the line of the task's log
// that does is added; a log that can't be read adds nothing.
func (c *Client) TaskError(ctx context.Context, upid UPID, exit string) error {
	if succeeded.MatchString(exit) {
		return nil
	}
	e := &Error{Op: taskOp(upid), Message: exit}
	e.Kind, e.Hint = taskText(upid.Type(), exit)
	if e.Message == "" {
		e.Message = "no exit status"
	}
	switch e.Kind { //nolint:exhaustive // the others' words say it all
	case Permission:
		e.Hint = c.permissionHint(call{}, exit)
	case TaskFailed:
		if cause := causeLine(c.logTail(ctx, upid), exit); cause != "" {
			e.Message += ": " + cause
		}
		if hint := causeHint(e.Message); hint != "" {
			e.Hint = hint
		}
	}
	return c.scrub(call{}, e)
}

func taskOp(upid UPID) string {
	op := "task " + upid.Type()
	if upid.ID() != "" {
		op += " of " + upid.ID()
	}
	if upid.Node() == "" {
		return "task " + shorten(string(upid))
	}
	return op + " on " + upid.Node()
}

// tailLines is how much of a log's end is searched: a failed command prints a few lines, rsync's summary 20.
const tailLines = 50

// logTail reads the last lines of a task's log.
func (c *Client) logTail(ctx context.Context, upid UPID) []string {
	lines, total, err := c.taskLog(ctx, upid, 0, tailLines)
	if err == nil && total > len(lines) {
		var tail []string
		if tail, _, err = c.taskLog(ctx, upid, total-tailLines, tailLines); err == nil {
			return tail
		}
	}
	return lines
}

var (
	// telling are the words of a line that names a cause.
	telling = regexp.MustCompile(`(?i)\b(?:cannot|can't|could not|unable|fail(?:ed|ure|s)?|errors?|no space|not enough|insufficient|denied|refused|` +
		`not supported|unsupported|does not exist|not found|no such|invalid|timed? ?out|killed|interrupted|out of memory|corrupt\w*)\b|^kvm: `)
	// noise are lines that match and tell nothing.
	noise = regexp.MustCompile(`^(?:trying to acquire|transferred |TASK )`)
)

// causeLine finds the last line before the end that names a cause and doesn't just repeat the exit status.
func causeLine(lines []string, exit string) string {
	for i := len(lines) - 1; i >= 0; i-- {
		line := oneLine(lines[i])
		if line == "" || noise.MatchString(line) || strings.Contains(exit, line) || !telling.MatchString(line) {
			continue
		}
		return shorten(line)
	}
	return ""
}

// causes are what QEMU and storages say when a node is full (texts of QEMU, qemu-img, LVM and ZFS).
var causes = []phrase{
	{regexp.MustCompile(`(?i)cannot allocate memory|cannot set up guest memory`), TaskFailed, "the node has too little free memory: free some, or give the VM less"},
	{regexp.MustCompile(`(?i)no space left|insufficient free space|out of space|not enough space`), TaskFailed, "the storage is full: free space there"},
	{regexp.MustCompile(`Failed to get "write" lock`), TaskFailed, "another process, or another node, has its disk open"},
	{regexp.MustCompile(`^checksum mismatch: got`), TaskFailed, "the file isn't the one that the checksum is of"},
	{regexp.MustCompile(`ERROR 404: `), TaskFailed, "check the URL"},
	{regexp.MustCompile(`^download failed: `), TaskFailed, "the node fetches it by itself: check its way to that server, its DNS and the datacenter's HTTP proxy"},
	{regexp.MustCompile(`VM quit/powerdown failed - got timeout`), TaskFailed, "the guest didn't power off: stop it"},
}

func causeHint(words string) string {
	p, _ := find(causes, words)
	return p.hint
}
