package fleet

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/proxmox"
)

// taskLimit is how many tasks one list may have: more than a busy node finishes in the time we look back.
const taskLimit = 500

// taskOverlap is how far before a task's start its list is asked for: Proxmox counts in whole seconds.
const taskOverlap = 2 * time.Minute

// taskWatch waits for tasks: one list of a node's tasks each interval, however many are waited for, instead of one
// call for each of them.
type taskWatch struct {
	pve      Tasks
	every    time.Duration
	sequence Sequence
	asks     chan taskAsk
}

type taskAsk struct {
	upid proxmox.UPID
	done chan string // gets the exit status, once
}

func newTaskWatch(pve Tasks, every time.Duration, sequence Sequence) *taskWatch {
	return &taskWatch{pve: pve, every: every, sequence: sequence.withDefaults(), asks: make(chan taskAsk)}
}

// wait returns when the task has ended: nil when it succeeded, else the error that its log tells.
func (w *taskWatch) wait(ctx context.Context, upid proxmox.UPID) error {
	ask := taskAsk{upid: upid, done: make(chan string, 1)}
	select {
	case w.asks <- ask:
	case <-ctx.Done():
		return fmt.Errorf("wait for task %s: %w", upid, ctx.Err())
	}
	select {
	case exit := <-ask.done:
		w.sequence.Turn(ctx, "task "+string(upid)) // others' tasks ended with it
		return w.pve.TaskError(ctx, upid, exit)
	case <-ctx.Done():
		return fmt.Errorf("wait for task %s: %w", upid, ctx.Err())
	}
}

// run serves waits until ctx ends. A list that can't be read is read again at the next interval: the waits have
// deadlines of their own.
func (w *taskWatch) run(ctx context.Context) {
	pending := map[proxmox.UPID]chan string{}
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-w.asks:
			pending[a.upid] = a.done
			continue
		case <-tick.C:
		}
		w.take(pending)
		if len(pending) == 0 {
			continue
		}
		since := oldest(pending)
		for _, node := range sortedKeys(since) {
			list, err := w.pve.Tasks(ctx, node, proxmox.TaskFilter{Since: since[node].Add(-taskOverlap), Source: "all", Limit: taskLimit})
			if err != nil {
				continue
			}
			for _, t := range list {
				if done, ok := pending[t.UPID]; ok && !t.Running {
					done <- t.ExitStatus
					delete(pending, t.UPID)
				}
			}
		}
		for upid := range pending {
			if w.pve.NodeTime(time.Now()).Sub(upid.Start()) > giveUpTask {
				delete(pending, upid)
			}
		}
	}
}

// take adds those who have come to wait while the last lists were read: with a tick due, too, it would be chance whether the
// next lists are theirs.
func (w *taskWatch) take(pending map[proxmox.UPID]chan string) {
	for {
		select {
		case a := <-w.asks:
			pending[a.upid] = a.done
		default:
			return
		}
	}
}

// giveUpTask is longer than any step's deadline: whoever waited has left by then.
const giveUpTask = time.Hour

// oldest gives, for each node, the start of its oldest pending task.
func oldest(pending map[proxmox.UPID]chan string) map[string]time.Time {
	nodes := map[string]time.Time{}
	for upid := range pending {
		if t, ok := nodes[upid.Node()]; !ok || upid.Start().Before(t) {
			nodes[upid.Node()] = upid.Start()
		}
	}
	return nodes
}
