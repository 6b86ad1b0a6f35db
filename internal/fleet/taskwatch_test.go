package fleet

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/proxmox"
)

// slowTasks are the task lists of two nodes, of which the first answers once later than the next look is due.
type slowTasks struct {
	first, second proxmox.UPID
	slow          sync.Once
}

func (s *slowTasks) Tasks(_ context.Context, node string, _ proxmox.TaskFilter) ([]proxmox.Task, error) {
	if node == s.first.Node() {
		s.slow.Do(func() { time.Sleep(2500 * time.Millisecond) })
		return []proxmox.Task{{UPID: s.first, Running: true}}, nil
	}
	return []proxmox.Task{{UPID: s.second, ExitStatus: "OK"}}, nil
}

func (s *slowTasks) TaskLog(context.Context, proxmox.UPID, int, int) ([]string, error) {
	return nil, nil
}

func (s *slowTasks) NodeTime(t time.Time) time.Time { return t }

func (s *slowTasks) TaskError(context.Context, proxmox.UPID, string) error { return nil }

// TestTaskWaitedForDuringASlowLookIsInTheNextOne: whether it is must not be chance, or a wait takes a whole interval longer.
func TestTaskWaitedForDuringASlowLookIsInTheNextOne(t *testing.T) {
	parse := func(s string) proxmox.UPID {
		upid, err := proxmox.ParseUPID(s)
		if err != nil {
			t.Fatal(err)
		}
		return upid
	}
	s := slowTasks{
		first:  parse("UPID:pve1:00001000:00002000:386D4380:qmclone:9000:ci@pve!mayfly:"),
		second: parse("UPID:pve2:00001000:00002000:386D4380:qmclone:9001:ci@pve!mayfly:"),
	}
	for range 40 { // a chance of one half
		synctest.Test(t, func(t *testing.T) {
			s.slow = sync.Once{}
			ctx, cancel := context.WithCancel(t.Context())
			w := newTaskWatch(&s, time.Second, Sequence{})
			var done sync.WaitGroup
			defer done.Wait()
			defer cancel()
			done.Go(func() { w.run(ctx) })
			done.Go(func() { _ = w.wait(ctx, s.first) }) // it never ends
			began := time.Now()
			time.Sleep(1500 * time.Millisecond)
			if err := w.wait(ctx, s.second); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != 3500*time.Millisecond {
				t.Errorf("the end was known after %s, want when the slow look is over and the next one made", took)
			}
		})
	}
}
