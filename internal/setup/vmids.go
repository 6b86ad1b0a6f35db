package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/runner"
)

const (
	// firstStart and span make the usual range, 200 to 299; each next one that is tried begins span further.
	firstStart, span, lastStart = 200, 100, 8900
	// mostAsked bounds how many VMIDs are asked for one by one: guests that the token doesn't see show in no list.
	mostAsked = 200
)

// wantRange is the accepted form.
const wantRange = "want FIRST-LAST, for example 200-299"

// vmids asks for the VMIDs of runners, and shows who has some of them.
func (w *wizard) vmids(ctx context.Context) error {
	const key = "vmids.start"
	oneRange(w.given)
	oneRange(w.before)
	q := question{
		key: key, flag: "--vmids", ask: "VMIDs for the runners",
		check: func(ctx context.Context, text string) (string, error) { return w.checkRange(ctx, text) },
	}
	if w.before[key].Value == "" && w.given[key].Value == "" {
		q.def, q.why = w.freeRange(ctx)
	}
	value, from, err := w.ask(ctx, q)
	if err != nil {
		return err
	}
	w.range0, _ = parseRange(value)
	w.put("vmids.start", strconv.Itoa(w.range0.Start), from)
	w.put("vmids.end", strconv.Itoa(w.range0.End), from)
	return nil
}

// oneRange makes one answer of the two keys that hold it: FIRST-LAST, or FIRST where nobody says the last.
func oneRange(m map[string]config.Setting) {
	const startKey, endKey = "vmids.start", "vmids.end"
	start, hasStart := m[startKey]
	end, hasEnd := m[endKey]
	switch {
	case !hasEnd || hasStart && rangeForm.MatchString(start.Value):
		return
	case !hasStart:
		start = config.Setting{Value: config.Default(startKey), Origin: end.Origin}
	}
	start.Path, start.Value = startKey, start.Value+"-"+end.Value
	m[startKey] = start
}

// freeRange is the first usual range that nobody has a VM in, as far as the token sees.
func (w *wizard) freeRange(ctx context.Context) (text, why string) {
	for start := firstStart; start <= lastStart; start += span {
		r := config.VMIDRange{Start: start, End: start + span - 1}
		if taken, err := w.taken(ctx, r); err == nil && len(taken) == 0 && ctx.Err() == nil {
			return printRange(r), "free"
		}
		if ctx.Err() != nil {
			break
		}
	}
	return printRange(config.VMIDRange{Start: firstStart, End: firstStart + span - 1}), "the usual one"
}

func printRange(r config.VMIDRange) string { return fmt.Sprintf("%d-%d", r.Start, r.End) }

var rangeForm = regexp.MustCompile(`^([0-9]{1,9}) *(?:-|–|\.\.|to|:) *([0-9]{1,9})$`)

// parseRange reads FIRST-LAST, or FIRST for a hundred from there on.
func parseRange(text string) (config.VMIDRange, error) {
	m := rangeForm.FindStringSubmatch(text)
	if m == nil {
		if n, err := strconv.Atoi(text); err == nil && config.CheckValue("vmids.start", text) == nil {
			return config.VMIDRange{Start: n, End: n + span - 1}, nil
		}
		return config.VMIDRange{}, errors.New("that is no range of VMIDs; " + wantRange)
	}
	start, _ := strconv.Atoi(m[1])
	end, _ := strconv.Atoi(m[2])
	r := config.VMIDRange{Start: start, End: end}
	for _, bound := range [][2]string{{"vmids.start", m[1]}, {"vmids.end", m[2]}} {
		if err := config.CheckValue(bound[0], bound[1]); err != nil {
			return r, err
		}
	}
	if r.Size() < 1 {
		return r, errors.New("the last VMID is before the first; " + wantRange)
	}
	return r, nil
}

// checkRange looks who has VMIDs of the range.
func (w *wizard) checkRange(ctx context.Context, text string) (string, error) {
	r, err := parseRange(text)
	if err != nil {
		return "", err
	}
	templates := w.templateRange()
	if r.Start <= templates.End && templates.Start <= r.End {
		return "", fmt.Errorf("%s overlaps the VMIDs of templates, %s; want a range apart from it", printRange(r), printRange(templates))
	}
	taken, err := w.taken(ctx, r)
	if err != nil {
		return "", err
	}
	if len(taken) >= r.Size() {
		return "", fmt.Errorf("all of %s are taken: %s; want a range that nobody uses", printRange(r), some(taken))
	}
	if len(taken) > 0 {
		w.con.say("  Taken there: %s. They are never touched; runners get the others.", some(taken))
	}
	return printRange(r), nil
}

// templateRange is where templates go: as an existing mayfly.yaml says, or the default.
func (w *wizard) templateRange() config.VMIDRange {
	r := config.VMIDRange{Start: 9000, End: 9099}
	if n, err := strconv.Atoi(w.before["image.vmids.start"].Value); err == nil {
		r.Start = n
	}
	if n, err := strconv.Atoi(w.before["image.vmids.end"].Value); err == nil {
		r.End = n
	}
	return r
}

// taken lists who has VMIDs of a range, and isn't a runner of this installation: "210 (web1)".
func (w *wizard) taken(ctx context.Context, r config.VMIDRange) ([]string, error) {
	seen := map[int]bool{}
	var list []string
	for _, g := range w.resources {
		if g.VMID < r.Start || g.VMID > r.End {
			continue
		}
		seen[g.VMID] = true
		if cfg, err := w.pve.VMConfig(ctx, g.Node, g.VMID); g.Type == "qemu" && err == nil {
			if m, err := runner.ParseMarker(cfg.Description); err == nil && m.VMID == g.VMID && m.Installation == w.installation(r) {
				continue
			}
		}
		list = append(list, fmt.Sprintf("%d (%s)", g.VMID, name(g.Name)))
	}
	for id := r.Start; id <= r.End && id < r.Start+mostAsked && !w.seesAll(); id++ {
		if seen[id] {
			continue
		}
		free, err := w.vmidFree(ctx, id)
		if err != nil {
			return nil, err
		}
		if !free {
			list = append(list, fmt.Sprintf("%d (hidden from this token)", id))
		}
	}
	slices.SortFunc(list, func(a, b string) int { return number(a) - number(b) })
	return list, nil
}

// seesAll reports whether the token sees every guest, so that none can be hidden.
func (w *wizard) seesAll() bool {
	for _, on := range []string{"/", "/vms"} {
		if below, has := w.granted[on]["VM.Audit"]; has && below {
			return true
		}
	}
	return false
}

// vmidFree asks for a VMID, each once: the range that is offered is looked at before and after it is chosen.
func (w *wizard) vmidFree(ctx context.Context, id int) (bool, error) {
	if free, asked := w.free[id]; asked {
		return free, nil
	}
	free, err := w.pve.VMIDFree(ctx, id)
	if err == nil {
		w.free[id] = free
	}
	return free, err
}

func number(s string) int {
	digits, _, _ := strings.Cut(s, " ")
	n, _ := strconv.Atoi(digits)
	return n
}

// some is a list that fits on a line or two.
func some(list []string) string {
	const most = 8
	if len(list) > most {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
	}
	return strings.Join(list, ", ")
}

const installationKey, prefixKey = "installation", "name_prefix"

// installation is the name of this installation: as before, or what follows from prefix and range, as where nobody names one.
func (w *wizard) installation(r config.VMIDRange) string {
	if s, ok := w.before[installationKey]; ok {
		return s.Value
	}
	return strings.ToLower(fmt.Sprintf("%s-%d", w.prefix(), r.Start))
}

// prefix begins the names of runners.
func (w *wizard) prefix() string {
	if s, ok := w.given[prefixKey]; ok {
		return s.Value
	}
	if s, ok := w.before[prefixKey]; ok {
		return s.Value
	}
	return cmp.Or(w.note(prefixKey), config.Default(prefixKey))
}
