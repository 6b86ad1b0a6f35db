package setup

import (
	"fmt"
	"net/url"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/runner"
)

// wantRepository is the accepted form.
const wantRepository = "want OWNER/REPO or https://github.com/OWNER/REPO, for example NREL/EnergyPlus"

// parseRepository reads what people have at hand: OWNER/REPO, the address of any page of the repository, or what git clones. web is
// https://HOST of a GitHub that isn't github.com, else "".
func parseRepository(text string) (t runner.Target, web string, err error) {
	text = strings.TrimSpace(text)
	wrong := fmt.Errorf("that names no repository; %s", wantRepository)
	host, path := "", text
	if rest, ok := strings.CutPrefix(text, "git@"); ok && !strings.Contains(text, "://") { // git@HOST:OWNER/REPO.git
		host, path, _ = strings.Cut(rest, ":")
		web = "https://" + host
	} else if scheme, rest, ok := strings.Cut(text, "://"); ok {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return runner.Target{}, "", wrong
		}
		if _, password := u.User.Password(); password || u.User != nil && scheme != "ssh" {
			return runner.Target{}, "", fmt.Errorf("credentials in the address; %s; the token is asked for next", wantRepository)
		}
		host, path = u.Hostname(), u.Path
		web = "https://" + u.Hostname()
		switch scheme {
		case "http", "https":
			web = scheme + "://" + u.Host
			if scheme == "http" && !isLoopback(host) {
				web = "https://" + u.Host
			}
		case "ssh", "git":
		default:
			_ = rest
			return runner.Target{}, "", wrong
		}
	} else if rest, ok := strings.CutPrefix(strings.ToLower(text), "github.com/"); ok {
		path = text[len(text)-len(rest):]
	}
	if host = strings.TrimPrefix(strings.ToLower(host), "www."); host == "" || host == "github.com" || host == "ssh.github.com" {
		web = ""
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 2 || host == "" && path == text && len(parts) > 2 {
		return runner.Target{}, "", wrong
	}
	t, err = runner.ParseTarget(parts[0] + "/" + strings.TrimSuffix(parts[1], ".git"))
	if err != nil {
		return runner.Target{}, "", wrong
	}
	return t, web, nil
}

// apiOf is where the API of that GitHub is.
func apiOf(web string) string {
	if web == "" {
		return config.Default(apiKey)
	}
	u, err := url.Parse(web)
	if err != nil {
		return ""
	}
	return config.EnterpriseAPI(u)
}

// tokenPage is where a token is made. github.com fills the form in from the address (docs, "Managing your personal access tokens",
// pre-filling details using URL parameters); the repository can't be chosen so.
func tokenPage(web string, t runner.Target) string {
	if web != "" {
		return web + "/settings/personal-access-tokens/new"
	}
	q := url.Values{
		"name": {"mayfly " + t.Repo}, "description": {"Mayfly: runners for " + t.String()}, "target_name": {t.Owner},
		"expires_in": {"90"}, "actions": {"write"}, "administration": {"write"},
	}
	return "https://github.com/settings/personal-access-tokens/new?" + q.Encode()
}
