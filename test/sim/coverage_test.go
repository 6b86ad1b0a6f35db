package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// coverage is the table of what went wrong how often: a line for each route with the kinds of fault on it, and one for each
// trouble of the world.
func coverage(cover, called map[string]int) string {
	var b strings.Builder
	for _, side := range []string{toProxmox, toGitHub} {
		var kinds []kind
		kinds = append(kinds, kindsOf(side)...)
		fmt.Fprintf(&b, "\n%s\n%9s", side, "calls")
		for _, k := range kinds {
			fmt.Fprintf(&b, " %8s", short(k))
		}
		b.WriteString("\n")
		for _, route := range slices.Sorted(maps.Keys(called)) {
			if sideOf(route) != side {
				continue
			}
			fmt.Fprintf(&b, "%9d", called[route])
			for _, k := range kinds {
				fmt.Fprintf(&b, " %8d", cover[route+" | "+string(k)])
			}
			fmt.Fprintf(&b, "  %s\n", strings.TrimPrefix(route, side+" "))
		}
	}
	b.WriteString("\nworld\n")
	for _, row := range slices.Sorted(maps.Keys(cover)) {
		if name, is := strings.CutPrefix(row, "world | "); is {
			fmt.Fprintf(&b, "%9d  %s\n", cover[row], name)
		}
	}
	return b.String() + "\n"
}

// short is a kind's name for the head of a column.
func short(k kind) string {
	s := strings.NewReplacer("reply ", "", " after the effect", "+", "half a reply", "half", "half a", "half", "no reply", "mute").Replace(string(k))
	return s
}
