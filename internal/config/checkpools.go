package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"mayfly/internal/runner"
)

// maxLabels is how many labels GitHub lets a JIT runner have (schema of generate-jitconfig: 100) without self-hosted and the installation's own.
const maxLabels = 98

// checkPools holds the pools against each other and the limits they share.
func (l *loader) checkPools() {
	l.checkShares()
	names := map[string]int{}
	for i := range l.file.Pools {
		p, at := &l.file.Pools[i], index("pools", i)
		if first, taken := names[p.Name]; taken && p.Name != "" {
			l.problem(l.origins[at+".name"], at+".name", fmt.Sprintf("%q is the name of %s, too", p.Name, index("pools", first)), "want a name of its own")
		} else {
			names[p.Name] = i
		}
		l.checkPool(p, at)
		for j := range i {
			l.checkSpelling(p, at, &l.file.Pools[j])
			l.checkOverlap(p, at, &l.file.Pools[j])
		}
	}
}

// checkShares refuses shares that can't all be kept, and warns of one that comes to nothing.
func (l *loader) checkShares() {
	sum := 0
	for i := range l.file.Pools {
		p, path := &l.file.Pools[i], index("pools", i)+".share"
		if l.bad(path) {
			return
		}
		sum += p.Share
		if sum > 100 && sum-p.Share <= 100 {
			l.problem(l.origins[path], path, fmt.Sprintf("the shares add up to %d percent up to here", sum), "want shares that add up to at most 100")
		}
		if p.Share > 0 && !l.bad("max_runners") && p.Share*l.file.MaxRunners < 100 {
			l.warn(l.origins[path], path, fmt.Sprintf("%d percent of max_runners, %d, is less than one runner, so nothing is kept for the pool", p.Share, l.file.MaxRunners))
		}
	}
}

func (l *loader) checkPool(p *FilePool, at string) {
	l.checkTargets(p, at)
	l.checkLabels(p, at)
	l.checkJobs(p, at+".jobs")
	l.checkWarm(p, at)
	if path := at + ".max"; !l.bad(path) && !l.bad("max_runners") && p.Max > l.file.MaxRunners {
		l.problem(l.origins[path], path, fmt.Sprintf("%d is more than max_runners, %d", p.Max, l.file.MaxRunners), "want at most max_runners; raise that for more")
	}
	if path := at + ".runner_user"; !l.bad(path) && p.RunnerUser == "root" {
		l.problem(l.origins[path], path, "root must not run jobs", "want the name of an unprivileged user, for example runner")
	}
	if path := at + ".storage"; p.Storage != "" && !p.FullClone && !l.bad(path) {
		l.problem(l.origins[path], path, "Proxmox takes a storage for full clones only", "want full_clone: true beside it, or no storage")
	}
}

// repositories are the targets of a pool, in whichever key they stand.
func (p *FilePool) repositories() []string {
	if len(p.Targets) > 0 {
		return p.Targets
	}
	return []string{p.Target}
}

// checkTargets wants one of the two keys, and repositories in it.
func (l *loader) checkTargets(p *FilePool, at string) {
	one, several := at+".target", at+".targets"
	f, _ := formOf("target")
	switch {
	case l.bad(one) || l.bad(several):
		return
	case l.known(one) && l.known(several):
		l.problem(l.origins[several], several, "set beside "+one, "want one of the two")
		return
	case !l.known(one) && len(p.Targets) == 0:
		l.problem(l.origins[at], one, "not set, nor is targets", f.want)
		return
	}
	for i, r := range p.repositories() {
		path, from := one, l.origins[one]
		if l.known(several) {
			path, from = index(several, i), l.origins[several]
		}
		if !isTarget(r) {
			l.problem(from, path, fmt.Sprintf("%q is not a repository", r), f.want)
		}
		if slices.ContainsFunc(p.repositories()[:i], func(other string) bool { return strings.EqualFold(other, r) }) {
			l.problem(from, path, fmt.Sprintf("%q is named twice", r), "want each repository once")
		}
	}
}

func (l *loader) checkLabels(p *FilePool, at string) {
	path := at + ".labels"
	if l.bad(path) {
		return
	}
	from, known := l.origins[path]
	if !known {
		from = l.origins[at]
	}
	switch {
	case len(p.Labels) == 0 && !p.AcceptUnlabeled:
		l.problem(from, path, "no labels", "want at least one, or accept_unlabeled: true")
	case len(p.Labels) > maxLabels:
		l.problem(from, path, fmt.Sprintf("%d labels", len(p.Labels)), fmt.Sprintf("want at most %d", maxLabels))
	}
	for i, label := range p.Labels {
		if !utf8.ValidString(label) || strings.ContainsFunc(label, func(r rune) bool { return !unicode.IsPrint(r) }) {
			f, _ := formOf("label")
			l.problem(from, index(path, i), fmt.Sprintf("%q is not such a value", label), f.want)
		}
	}
}

// checkSpelling refuses two spellings of one repository: GitHub takes no notice of case, so each job would be seen twice.
func (l *loader) checkSpelling(p *FilePool, at string, other *FilePool) {
	path := at + ".target"
	if len(p.Targets) > 0 {
		path = at + ".targets"
	}
	for _, mine := range p.repositories() {
		for _, theirs := range other.repositories() {
			if mine != theirs && strings.EqualFold(mine, theirs) {
				l.problem(l.origins[path], path, fmt.Sprintf("%q and the %q of another pool are one repository to GitHub", mine, theirs), "want one spelling")
			}
		}
	}
}

// checkOverlap warns where all that one pool offers is offered by the other, too: GitHub gives a job to any runner that
// has its labels, so jobs made for one pool land on the other.
func (l *loader) checkOverlap(p *FilePool, at string, other *FilePool) {
	shared := slices.ContainsFunc(p.repositories(), func(r string) bool { return slices.Contains(other.repositories(), r) })
	if !shared || len(p.Labels) == 0 || len(other.Labels) == 0 {
		return
	}
	less, more := p, other
	if !offers(more, less) {
		less, more = other, p
	}
	if offers(more, less) {
		l.warn(l.origins[at+".labels"], at+".labels",
			fmt.Sprintf("pool %q offers every label of pool %q, so GitHub may give its runners the jobs of %q; give %q a label that the other lacks and put it into runs-on", more.Name, less.Name, less.Name, less.Name))
	}
}

// offers reports whether more has every label of less.
func offers(more, less *FilePool) bool {
	have := runner.Pool{Labels: more.Labels}.RegistrationLabels()
	for _, label := range less.Labels {
		if !slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, label) }) {
			return false
		}
	}
	return true
}
