package cloudinit

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"mayfly/internal/runner"
)

// Needs says which identity a template puts into the VM.
type Needs string

// What a template can need.
const (
	NeedsJITConfig         Needs = "JIT config"
	NeedsRegistrationToken Needs = "registration token"
	// NeedsEither takes one of the two, and the other placeholder is empty then, as in the shipped template. A JIT config
	// is the better one: it is good for one runner, a token for any number within an hour.
	NeedsEither Needs = "JIT config or registration token"
)

// Template is user-data with placeholders, known to be good.
type Template struct {
	name   string
	kind   kind
	pieces []piece
	slots  []slot // where the placeholders of pieces stand, in their order
	want   []leaf // of cloud-config: the leaves, with marks for placeholders
	marks  marks
	needs  Needs
	odd    []Problem
}

// Parse reads a template and checks it as far as that goes without a VM: every placeholder is known, and what comes of
// sample values is cloud-config or a script that cloud-init will take. All that is wrong is said at once, in a
// [*TemplateError]. The name says where the text is from.
func Parse(name, text string) (*Template, error) {
	kind, problems := kindOf(text)
	if len(problems) > 0 {
		return nil, refuse(name, problems)
	}
	t := &Template{name: name, kind: kind}
	t.pieces, problems = scan(text)
	// Everything else is read with marks in place of placeholders, so an unknown one needn't hide a wrong key.
	problems = append(problems, t.place()...)
	if len(problems) > 0 {
		return nil, refuse(name, problems)
	}
	if t.needs = t.needed(); t.needs == "" {
		return nil, refuse(name, []Problem{{0, "takes no identity, so that its VM could never become a runner; " +
			"put ${jit_config} (better) or ${registration_token} in, as the shipped template does"}})
	}
	for _, v := range samples(t.needs) {
		if _, err := t.Render(v); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Needs tells which identity the template puts into a VM. Placeholders in comments don't count.
func (t *Template) Needs() Needs { return t.needs }

// KeepsPolicy reports whether the guest is told which jobs may run.
func (t *Template) KeepsPolicy() bool {
	for _, name := range []string{jobsRepositories, jobsEvents, jobsForks} {
		if !slices.ContainsFunc(t.slots, func(s slot) bool { return s.name == name && s.where != inComment }) {
			return false
		}
	}
	return true
}

// Name says where the template is from.
func (t *Template) Name() string { return t.name }

// Warnings tells what works but isn't wise: where the template shows the identity to more than it must.
func (t *Template) Warnings() []Problem { return t.odd }

// Format prints the template's name for every verb: its text may hold its author's secrets.
func (t *Template) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "user-data template "+t.name)
}

// Check tries what is known before there is any VM: whether a pool's URL, user and labels can be filled in.
func (t *Template) Check(repoURL, user string, labels []string) error {
	for _, v := range samples(t.needs) {
		v.RepoURL, v.User, v.Labels = repoURL, user, labels
		if _, err := t.Render(v); err != nil {
			return err
		}
	}
	return nil
}

// Render fills the template in. Errors name placeholders and lines, never a secret.
func (t *Template) Render(v Values) (runner.Secret, error) {
	if err := t.checkValues(v); err != nil {
		return runner.Secret{}, fmt.Errorf("fill in user-data template %s: %w", t.name, err)
	}
	text, problems := t.fill(v)
	if len(problems) == 0 {
		problems = t.verify(text, v)
	}
	if len(problems) > 0 {
		return runner.Secret{}, refuse(t.name, problems)
	}
	return runner.NewSecret(text), nil
}

func (t *Template) checkValues(v Values) error {
	jit, token := !v.JITConfig.IsZero(), !v.RegistrationToken.IsZero()
	switch {
	case jit && token:
		return errors.New("a JIT config and a registration token; want one identity")
	case !jit && !token, jit && t.needs == NeedsRegistrationToken, token && t.needs == NeedsJITConfig:
		return fmt.Errorf("no identity that it takes; want a %s", t.needs)
	}
	return v.check()
}

// needed looks which identities have a place.
func (t *Template) needed() Needs {
	var jit, token bool
	for _, s := range t.slots {
		jit = jit || (s.name == jitConfig && s.where != inComment)
		token = token || (s.name == registrationToken && s.where != inComment)
	}
	switch {
	case jit && token:
		return NeedsEither
	case jit:
		return NeedsJITConfig
	case token:
		return NeedsRegistrationToken
	}
	return ""
}
