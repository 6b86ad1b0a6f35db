package setup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mayfly/internal/config"
	"mayfly/internal/github"
	"mayfly/internal/runner"
)

const (
	targetKey  = "pools[0].target"
	targetsKey = "pools[0].targets"
	apiKey     = "github.api_url"
)

// targetAndToken asks for the repository and for a token that sees it.
func (w *wizard) targetAndToken(ctx context.Context) error {
	w.con.head("GitHub")
	var t runner.Target
	var web string
	return w.together(ctx,
		func(ctx context.Context) (err error) { t, web, err = w.repository(ctx); return err },
		func(ctx context.Context) error { return w.githubToken(ctx, t, web) },
	)
}

// repository asks whose jobs are to be run, and tries whether that GitHub can be reached.
func (w *wizard) repository(ctx context.Context) (t runner.Target, web string, err error) {
	api := ""
	value, from, err := w.ask(ctx, question{
		key: targetKey, flag: "--repository", ask: "Repository (OWNER/REPO or its address)",
		check: func(ctx context.Context, text string) (string, error) {
			t, web, err = parseRepository(text)
			if err != nil {
				return "", err
			}
			api = w.api(web)
			return t.String(), reachGitHub(ctx, api, t)
		},
	})
	if err != nil {
		return t, web, err
	}
	if api == config.Default(apiKey) {
		w.put(apiKey, "", "")
	} else {
		_, apiFrom, given := w.answer(apiKey)
		if !given {
			apiFrom = from
		}
		w.put(apiKey, api, apiFrom)
		web = config.GitHub{APIURL: api}.WebURL()
	}
	w.put(targetKey, value, from)
	w.put("pools[0].name", w.poolName(t), "the repository's name")
	w.namePrefix(t)
	w.con.say("  ok: %s answers", api)
	w.tellFurther()
	return t, web, nil
}

// tellFurther says what becomes of the repositories that nothing is asked about.
func (w *wizard) tellFurther() {
	switch list := strings.Join(w.further, ", "); {
	case list == "":
	case w.keepsTargets():
		w.con.say("  The pool also serves %s, which stays; the token needs the same permissions there.", list)
	default:
		w.con.say("  It takes the place of all that the pool served: %s, %s.", w.before[targetKey].Value, list)
	}
}

// keepsTargets reports whether the pool goes on with the repositories that mayfly.yaml names.
func (w *wizard) keepsTargets() bool {
	return len(w.further) > 0 && strings.EqualFold(w.note(targetKey), w.before[targetKey].Value)
}

// api is where the API is: as somebody said, or as the repository's address has it.
func (w *wizard) api(web string) string {
	if value, _, ok := w.answer(apiKey); ok {
		return strings.TrimRight(value, "/")
	}
	if b, ok := w.before[apiKey]; ok && web == "" {
		return strings.TrimRight(b.Value, "/")
	}
	return apiOf(web)
}

// poolName is the pool's name: as before, or the repository's.
func (w *wizard) poolName(t runner.Target) string {
	if b, ok := w.before["pools[0].name"]; ok {
		return b.Value
	}
	return config.PoolName(t.Repo)
}

// namePrefix names runners after the repository, where nothing says how they are called. A repository that the environment names is one that a
// dispatcher may be serving already: its runners keep their name.
func (w *wizard) namePrefix(t runner.Target) {
	_, _, answered := w.answer(prefixKey)
	existing := len(w.before) > 0 || answered
	if s, ok := w.given[targetKey]; ok && s.Origin.Kind != config.FromFlag {
		existing = true
	}
	prefix := strings.Trim(strings.NewReplacer(".", "-", "_", "-").Replace(config.PoolName(t.Repo)), "-") + "-runner"
	if !existing && config.CheckValue(prefixKey, prefix) == nil {
		w.put(prefixKey, prefix, "the repository's name")
	}
}

// reachGitHub asks for the repository without a token: any reply of GitHub will do, since a private one isn't shown.
func reachGitHub(ctx context.Context, api string, t runner.Target) error {
	if err := config.CheckValue(apiKey, api); err != nil {
		return err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	status, err := get(ctx, transport, api+"/repos/"+t.String())
	switch {
	case err != nil:
		return fmt.Errorf("%s doesn't answer: %w; let this machine out on port 443, or set HTTPS_PROXY; for another GitHub give the whole address of the repository", api, err)
	case status == http.StatusOK, status == http.StatusMovedPermanently, status == http.StatusUnauthorized, status == http.StatusForbidden,
		status == http.StatusNotFound, status == http.StatusTooManyRequests:
		return nil
	}
	return fmt.Errorf("%s answers %d; is that GitHub, and is it well (https://www.githubstatus.com)", api, status)
}

// githubToken asks for the token, and tries what Mayfly does with it but for making runners.
func (w *wizard) githubToken(ctx context.Context, t runner.Target, web string) error {
	const key = "github.token"
	filled := ""
	if web == "" {
		filled = " (the permissions are filled in)"
	}
	w.con.say("A fine-grained token, made here%s:", filled)
	w.con.say("  %s", tokenPage(web, t))
	w.con.say("  Resource owner: %s. Only select repositories: %s.", t.Owner, t.Repo)
	w.con.say("  Actions and Administration: Read and write. Nothing else.")
	w.con.say("  Where %s enforces single sign-on: then Configure SSO -> Authorize.", t.Owner)
	value, from, err := w.ask(ctx, question{
		key: key, flag: "--github-token-file", ask: "Token of GitHub", hidden: true,
		check: func(ctx context.Context, text string) (string, error) {
			return text, w.tryGitHub(ctx, t, runner.NewSecret(text))
		},
	})
	if err != nil {
		return err
	}
	w.secret[key] = runner.NewSecret(value)
	w.put(key+"_file", w.secretPath(key), from)
	w.con.say("  ok: it reads jobs (Actions) and runners (Administration) of %s", t)
	switch at, ends := w.gh.TokenExpires(); {
	case ends:
		w.con.say("  It ends on %s, in %d days: have a new one by then.", at.Format(time.DateOnly), int(time.Until(at).Hours()/24))
	default:
		w.con.say("  It has no end, as far as GitHub tells; one that ends is safer.")
	}
	return nil
}

// tryGitHub makes the client and reads what Mayfly reads. What writing takes shows with the first runner: asking would make one.
func (w *wizard) tryGitHub(ctx context.Context, t runner.Target, token runner.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	api := w.note(apiKey)
	if api == "" {
		api = config.Default(apiKey)
	}
	c, err := github.New(github.Options{BaseURL: api, Token: token, Logger: w.o.Logger, Version: w.o.Version})
	if err != nil {
		return err
	}
	if err := readAll(ctx, c, t); err != nil {
		c.Close()
		return err
	}
	if w.gh != nil {
		w.gh.Close()
	}
	w.gh = c
	return nil
}

func readAll(ctx context.Context, c *github.Client, t runner.Target) error {
	_, err := c.Repository(ctx, t)
	if errors.Is(err, github.NotFound) {
		return earlierError{fmt.Errorf("there is no repository %s, or the token isn't for it: %w", t, err)}
	}
	if err != nil {
		return err
	}
	var lacks []string
	for _, permission := range []struct {
		name string
		read func() error
	}{
		{"Actions", func() error { _, err := c.Jobs(ctx, t); return err }},
		{"Administration", func() error { _, err := c.Runners(ctx, t); return err }},
	} {
		err := permission.read()
		switch {
		case errors.Is(err, github.Permission), errors.Is(err, github.NotFound):
			lacks = append(lacks, permission.name)
		case err != nil:
			return err
		}
	}
	if len(lacks) > 0 {
		return fmt.Errorf("the token lacks %s on %s; give it Actions and Administration, both Read and write: GitHub -> Settings -> Developer settings -> Fine-grained tokens -> the token", strings.Join(lacks, " and "), t)
	}
	return nil
}
