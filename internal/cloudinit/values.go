package cloudinit

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"mayfly/internal/runner"
)

// Values are what the placeholders of one VM's user-data stand for. Of RegistrationToken and JITConfig exactly one is
// given: one VM has one identity.
type Values struct {
	RepoURL           string        // ${repo_url}: where config.sh registers, for example https://github.com/NREL/EnergyPlus
	RegistrationToken runner.Secret // ${registration_token}
	Labels            []string      // ${runner_labels}: joined with commas
	Name              string        // ${runner_name}
	User              string        // ${runner_user}
	JITConfig         runner.Secret // ${jit_config}
	// Pool is ${pool_name}. Jobs, which of them may run, is ${jobs_repositories} and ${jobs_events}, joined with commas and empty
	// for any, and ${jobs_forks}: "allow" or "deny". A pool's user-data can do without them, and then keeps no policy.
	Pool string
	Jobs runner.Policy
}

// harmless are the characters that mean nothing to YAML inside a scalar nor to a shell.
const harmless = `A-Za-z0-9_.,:/@%+=~-`

var (
	harmlessForm = regexp.MustCompile(`^[` + harmless + `]*$`)
	urlForm      = regexp.MustCompile(`^https?://[A-Za-z0-9\[][A-Za-z0-9._~:/%\[\]-]*$`)
	// userForm is what useradd takes, and the configuration.
	eventForm = regexp.MustCompile(`^[a-z_]+$`)
	userForm  = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
)

// maxLabel is how long a label may be (the configuration's form).
const maxLabel = 256

// check refuses values that none of these can have. Secrets are never quoted.
func (v Values) check() error {
	switch {
	case !urlForm.MatchString(v.RepoURL):
		return fmt.Errorf("repository URL %q: want https://HOST/OWNER/REPO", v.RepoURL)
	case !runner.IsName(v.Name):
		return fmt.Errorf("runner name %q: not a name that Mayfly gives", v.Name)
	case !userForm.MatchString(v.User):
		return fmt.Errorf("runner user %q: want the name of an unprivileged user, for example runner", v.User)
	case !harmlessForm.MatchString(v.JITConfig.Reveal()):
		return errors.New("JIT config: holds characters that base64 doesn't have")
	case !harmlessForm.MatchString(v.RegistrationToken.Reveal()):
		return errors.New("registration token: holds characters that no token has")
	case !harmlessForm.MatchString(v.Pool):
		return fmt.Errorf("pool %q: not a pool's name", v.Pool)
	case slices.ContainsFunc(v.Jobs.Repositories, func(t runner.Target) bool { return !t.Valid() }):
		return fmt.Errorf("repositories %s: want OWNER/REPO", v.Jobs.RepositoryList())
	case slices.ContainsFunc(v.Jobs.Events, func(e string) bool { return !eventForm.MatchString(e) }):
		return fmt.Errorf("events %s: want GitHub's, such as push", v.Jobs.EventList())
	}
	for _, label := range v.Labels {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

func checkLabel(label string) error {
	odd := func(r rune) bool { return r == ',' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if label == "" || utf8.RuneCountInString(label) > maxLabel || !utf8.ValidString(label) || strings.ContainsFunc(label, odd) {
		return fmt.Errorf("label %q: want 1 to %d characters without comma or white space", label, maxLabel)
	}
	return nil
}

// of returns the text for a placeholder.
func (v Values) of(placeholder string) string {
	switch placeholder {
	case repoURL:
		return v.RepoURL
	case registrationToken:
		return v.RegistrationToken.Reveal()
	case runnerLabels:
		return strings.Join(v.Labels, ",")
	case runnerName:
		return v.Name
	case runnerUser:
		return v.User
	case jitConfig:
		return v.JITConfig.Reveal()
	case poolName:
		return v.Pool
	case jobsRepositories:
		return v.Jobs.RepositoryList()
	case jobsEvents:
		return v.Jobs.EventList()
	case jobsForks:
		return v.Jobs.Forks()
	}
	return ""
}

// isSecret reports whether a placeholder stands for an identity.
func isSecret(placeholder string) bool {
	return placeholder == jitConfig || placeholder == registrationToken
}

// samples are values of the usual form, for checking a template before there is any VM: one set for each identity that
// the template can take.
func samples(n Needs) []Values {
	v := Values{
		RepoURL: "https://github.com/octo-org/octo-repo", Labels: []string{"linux", "x64"}, Name: "sample-0123456789", User: "runner",
		Pool: "sample", Jobs: runner.Policy{Repositories: []runner.Target{{Owner: "octo-org", Repo: "octo-repo"}}, Events: []string{"push"}, DenyForks: true},
	}
	var list []Values
	if n != NeedsJITConfig {
		withToken := v
		withToken.RegistrationToken = runner.NewSecret("AABF3JGZDX3P5PMEXLND6TS6FCWO6")
		list = append(list, withToken)
	}
	if n != NeedsRegistrationToken {
		v.JITConfig = runner.NewSecret("eyIucnVubmVyIjoiZXlKQloyVnVkRWxrSWpveGZRPT0ifQ==")
		list = append(list, v)
	}
	return list
}
