package cli

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"mayfly/internal/fleet"
)

// showStatus prints the fleet as tables.
func showStatus(w io.Writer, s fleet.Status, now time.Time) {
	state := "ready"
	if !s.Ready {
		state = "NOT READY"
	}
	fmt.Fprintf(w, "%s: %s of at most %d, %s, %d of %d VMIDs free\n", state, count(len(s.Runners), "runner"), s.Capacity.MaxRunners,
		count(len(s.Waiting), "waiting job"), s.Capacity.VMIDsFree, s.Capacity.VMIDs)
	if old := now.Sub(s.At); s.At.IsZero() {
		fmt.Fprintln(w, "the dispatcher has just begun and knows nothing yet")
	} else if old > time.Minute {
		fmt.Fprintf(w, "as of %s ago\n", span(old))
	}
	fmt.Fprintf(w, "Proxmox %s\nGitHub  %s\n", sideLine(s.Proxmox, now), sideLine(s.GitHub, now))
	list(w, "not ready because", s.Reasons)
	list(w, "warnings", s.Warnings)

	table(w, "POOL\tTARGET\tRUNNERS\tIDLE\tBUSY\tWAITING\tTEMPLATE", len(s.Pools), func(i int) []string {
		p := s.Pools[i]
		return []string{p.Name, p.Target, fmt.Sprintf("%d/%d", p.Runners, p.Max), strconv.Itoa(p.Idle), strconv.Itoa(p.Busy), strconv.Itoa(p.Waiting), p.Template}
	})
	table(w, "NODE\tSTATE\tRUNNERS\tMEMORY FREE\tCORES TAKEN\tWHY", len(s.Nodes), func(i int) []string {
		n := s.Nodes[i]
		memory, cores := "-", strconv.Itoa(n.CoresTaken)
		if n.Memory > 0 {
			memory = fmt.Sprintf("%s of %s", n.MemoryFree, n.Memory)
		}
		if n.Cores > 0 {
			cores += fmt.Sprintf(" of %.0f", n.Cores)
		}
		return []string{n.Name, string(n.State), strconv.Itoa(n.Runners), memory, cores, n.Why}
	})
	table(w, "RUNNER\tPOOL\tVMID\tNODE\tSTATE\tAGE\tJOB\tREMARK", len(s.Runners), func(i int) []string {
		r := s.Runners[i]
		return []string{cmp.Or(r.Name, "-"), cmp.Or(r.Pool, "-"), strconv.Itoa(r.VMID), r.Node, string(r.State), span(now.Sub(r.Created)), number(r.Job), r.Reason}
	})
	table(w, "WAITING JOB\tID\tPOOL\tSINCE\tCODE\tREASON", len(s.Waiting), func(i int) []string {
		j := s.Waiting[i]
		return []string{j.Name, strconv.FormatInt(j.Job, 10), cmp.Or(j.Pool, "-"), span(now.Sub(j.Since)), string(j.Reason.Code), j.Reason.Text}
	})
	table(w, "SET ASIDE\tNODE\tSINCE\tWHY\tTYPE ON THE NODE", len(s.Quarantine), func(i int) []string {
		q := s.Quarantine[i]
		return []string{strconv.Itoa(q.VMID), q.Node, span(now.Sub(q.Since)), q.Why, q.Command}
	})
	table(w, "CORDONED\tNODE\tFAILURES\tTRIED AGAIN\tWHY", len(s.Cordons), func(i int) []string {
		c := s.Cordons[i]
		again := "by the next runner"
		if wait := c.Until.Sub(now); wait > 0 {
			again = "in " + span(wait)
		}
		return []string{strings.TrimSpace(c.Kind + " " + c.Name), cmp.Or(c.Node, "all"), strconv.Itoa(c.Failures), again, c.Reason}
	})
	table(w, "UNCLAIMED VM\tNODE\tNAME\tWHY", len(s.Unclaimed), func(i int) []string {
		u := s.Unclaimed[i]
		return []string{strconv.Itoa(u.VMID), u.Node, cmp.Or(u.Name, "-"), u.Why}
	})
	table(w, "ROGUE RUNNER\tID\tTARGET\tLABELS\tSINCE\tWHY", len(s.Rogues), func(i int) []string {
		r := s.Rogues[i]
		return []string{r.Name, number(r.ID), r.Target, strings.Join(r.Labels, ","), span(now.Sub(r.Since)), r.Why}
	})
}

func sideLine(h fleet.Health, now time.Time) string {
	switch {
	case h.OK:
		return "answers, last " + span(now.Sub(h.LastOK)) + " ago"
	case h.Since.IsZero():
		return cmp.Or(h.Error, "not looked at yet")
	}
	return "in trouble for " + span(now.Sub(h.Since)) + ": " + h.Error
}

func list(w io.Writer, title string, lines []string) {
	if len(lines) > 0 {
		fmt.Fprintf(w, "%s:\n  %s\n", title, strings.Join(lines, "\n  "))
	}
}

// table prints n rows below a header, and nothing where there are none. What others wrote (names of jobs and VMs) may hold
// what a terminal would obey.
func table(w io.Writer, header string, n int, row func(int) []string) {
	if n == 0 {
		return
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, header)
	for i := range n {
		cells := row(i)
		for k, c := range cells {
			cells[k] = printable(c)
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	_ = tw.Flush() // the reader has gone: nobody to tell
}

// printable leaves out control characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

func number(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// span is a duration for people: two units at most.
func span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}
