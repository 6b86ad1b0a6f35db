package github

import (
	"context"
	"fmt"

	gh "github.com/google/go-github/v88/github"
)

const (
	perPage = 100 // GitHub's most
	// passes is how often a list that changes under our hands is read.
	passes = 3
)

// page is one page of a list.
type page[T any] struct {
	items []T
	total int // total_count
	next  int // 0 after the last page
}

// listing reads a whole list, page after page as the Link header says (GitHub docs, "Using pagination in the REST
// API").
type listing[T any] struct {
	op   string
	read func(ctx context.Context, page int) (page[T], error)
	id   func(T) int64
	// most is how many items GitHub gives at most, 0 for all.
	most int
	// pointers says that stale items do no harm, because each is looked at again.
	pointers bool
}

// all returns every item once. Items that leave while pages are read shift others across the boundary, which
// total_count shows: then the list is read again. One that never holds still is an error, or, where stale items do no
// harm, everything that any of the passes saw, if that is as much as GitHub says there is.
func (l listing[T]) all(ctx context.Context) ([]T, error) {
	var union []T
	seen := map[int64]bool{}
	want := 0
	for range passes {
		items, there, settled, err := l.pass(ctx)
		want = there
		if err != nil || settled {
			return items, err
		}
		for _, item := range items {
			if id := l.id(item); !seen[id] {
				seen[id] = true
				union = append(union, item)
			}
		}
	}
	if l.pointers && len(union) >= want {
		return union, nil
	}
	return nil, &Error{Kind: Unavailable, Op: l.op, Message: fmt.Sprintf("the list changed each time it was read (%d times)", passes)}
}

// pass reads all pages once. there is how many items the list had at its start, settled says that the pages are one
// list.
func (l listing[T]) pass(ctx context.Context) (items []T, there int, settled bool, err error) {
	seen := map[int64]bool{}
	settled = true
	there = -1
	for at := 1; ; {
		p, err := l.read(ctx, at)
		if err != nil {
			return nil, 0, false, err
		}
		if l.most > 0 {
			p.total = min(p.total, l.most)
		}
		if there < 0 {
			there = p.total
		}
		settled = settled && p.total == there
		for _, item := range p.items {
			if id := l.id(item); !seen[id] {
				seen[id] = true
				items = append(items, item)
			}
		}
		if p.next == 0 {
			break
		}
		if p.next <= at {
			return nil, 0, false, &Error{Kind: Unavailable, Op: l.op, Message: fmt.Sprintf("page %d is followed by page %d", at, p.next)}
		}
		at = p.next
	}
	return items, there, settled && len(items) >= there, nil
}

// empty is the error of a reply that holds no list: go-github takes an empty body for a good answer.
func empty(op string) error {
	return &Error{Kind: Unavailable, Op: op, Status: 200, Message: "the reply holds no list"}
}

func options(at int) gh.ListOptions { return gh.ListOptions{Page: at, PerPage: perPage} }
