package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/cloudinit"
	"mayfly/internal/runner"
)

// handoffsInUse are the hand-offs that the configured one may come to: auto chooses for each template.
func (l *loader) handoffsInUse() []string {
	if l.file.Handoff == HandoffAuto {
		return []string{HandoffAgent, HandoffISO, HandoffSnippet}
	}
	return []string{l.file.Handoff}
}

// checkHandoff says once which values the hand-off in force ignores, and looks at what the snippet hand-off needs before
// there is any VM.
func (l *loader) checkHandoff() {
	if l.bad("handoff") {
		return
	}
	inUse := l.handoffsInUse()
	for _, k := range l.file.keys() {
		uses := strings.Fields(k.tag("handoff"))
		used := slices.ContainsFunc(uses, func(u string) bool { return slices.Contains(inUse, u) })
		if len(uses) > 0 && l.origins.given(k.path) && !used {
			l.warn(l.origins[k.path], k.path, fmt.Sprintf("ignored: hand-off %q doesn't use it, only %s would", l.file.Handoff, strings.Join(uses, " and ")))
		}
	}
	const dir = "snippets_dir"
	if l.file.Handoff == HandoffAgent || l.bad(dir) || l.bad("user_data_template") {
		return
	}
	switch {
	case l.file.SnippetsDir != "" || slices.Contains(inUse, HandoffISO):
		l.checkUserData()
	case l.file.Handoff == HandoffSnippet:
		l.problem(l.origins["handoff"], dir, "not set, nor is SNIPPETS_DIR, and no Proxmox VE version takes snippets over its API",
			fmt.Sprintf("want the snippets folder of storage %s, mounted on this machine; or handoff: agent or iso, which need none", l.file.Proxmox.Storage))
	}
}

// checkUserData refuses a template that couldn't be filled in for some pool.
func (l *loader) checkUserData() {
	const path = "user_data_template"
	text, from, err := readUserData(l.opts.ReadFile, l.file.UserDataTemplate)
	if err != nil {
		l.problem(l.origins[path], path, err.Error(), "want a file that is there, or none for the template inside the binary")
		return
	}
	t, err := cloudinit.Parse(from, text)
	if err != nil {
		l.userDataProblem(err)
		return
	}
	for _, w := range t.Warnings() {
		l.warn(l.origins[path], path, w.String())
	}
	if !t.KeepsPolicy() {
		l.warn(l.origins[path], path, from+" has no place for ${jobs_repositories}, ${jobs_events} and ${jobs_forks}, so its guests don't refuse jobs that a pool's jobs: forbids; "+
			"give them to run-once.sh as the shipped template does")
	}
	for _, p := range l.file.Pools {
		labels := runner.Pool{Labels: p.Labels}.RegistrationLabels()
		if err := t.Check("https://github.com/"+cmp.Or(p.repositories()...), p.RunnerUser, labels); err != nil {
			l.userDataProblem(fmt.Errorf("pool %s: %w", p.Name, err))
		}
	}
}

// userDataProblem tells each problem of a template by itself.
func (l *loader) userDataProblem(err error) {
	const path = "user_data_template"
	var several *cloudinit.TemplateError
	if !errors.As(err, &several) {
		l.problem(l.origins[path], path, err.Error(), "")
		return
	}
	for _, p := range several.Problems {
		l.problem(l.origins[path], path, several.Name+": "+p.String(), "")
	}
}
