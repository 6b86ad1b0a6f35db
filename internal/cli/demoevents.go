package cli

import (
	"slices"
	"sync"

	"mayfly/internal/fleet"
)

// eventQueue carries events from the controller's goroutine, which must not wait, to the one that shows them.
type eventQueue struct {
	mu     sync.Mutex
	events []fleet.Event
}

func newEventQueue() *eventQueue { return &eventQueue{} }

func (q *eventQueue) put(e fleet.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = append(q.events, e)
}

// take empties the queue.
func (q *eventQueue) take() []fleet.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	events := q.events
	q.events = nil
	return events
}

// sortNews puts news of two sources into the order in which they happened.
func sortNews(news []demoNews) {
	slices.SortStableFunc(news, func(a, b demoNews) int { return int(a.At - b.At) })
}
