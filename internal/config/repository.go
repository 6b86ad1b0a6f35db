package config

import (
	"fmt"
	"net/url"
	"strings"
)

// What the environment serves when it names no repository and no labels: an existing dispatcher.env relies on it.
const (
	defaultOwner  = "NREL"
	defaultRepo   = "EnergyPlus"
	defaultLabels = "energyplus,linux,x64,ubuntu-22.04"
)

// githubHost is where repositories live that need no GITHUB_API_URL.
const githubHost = "github.com"

// completePools makes the one pool that the environment describes when mayfly.yaml has none.
func (l *loader) completePools() {
	const path = "pools"
	if l.known(path) {
		if len(l.file.Pools) == 0 && !l.bad(path) {
			l.problem(l.origins[path], path, "an empty list", "want at least one pool, with name, target and labels")
		}
		for _, v := range l.poolVariables() {
			l.warn(v.origin, "", "ignored: "+l.opts.File+" has pools, and this variable only shapes the pool of an environment without them")
		}
		return
	}
	if l.opts.File != "" && len(l.poolVariables()) == 0 {
		l.problem(Origin{File: l.opts.File}, path, "not set", "want at least one pool, with name, target and labels")
		return
	}
	l.file.Pools = make([]FilePool, 1)
	for _, k := range l.file.keys() {
		if v, ok := l.env.get(k.tag("env")); ok && strings.HasPrefix(k.path, "pools[0].") {
			if v.text == "" { // a faulty line, told already
				l.origins[k.path] = v.origin
				l.broken = append(l.broken, k.path)
				continue
			}
			l.set(k, v.text, v.origin)
		}
	}
	pool := &l.file.Pools[0]
	if labels := index(path, 0) + ".labels"; !l.known(labels) {
		pool.Labels = strings.Split(defaultLabels, ",")
		l.origins[labels] = Origin{Kind: FromDefault}
	}
	l.completeTarget(pool)
}

// poolVariables lists the variables that are set and describe a pool.
func (l *loader) poolVariables() []variable {
	var set []variable
	names := []string{repoOwner, repoName, repoURL}
	f := File{Pools: make([]FilePool, 1)}
	for _, k := range f.keys() {
		if strings.HasPrefix(k.path, "pools[") && k.tag("env") != "" {
			names = append(names, k.tag("env"))
		}
	}
	for _, name := range names {
		if v, ok := l.env.get(name); ok {
			set = append(set, v)
		}
	}
	return set
}

// completeTarget finds the repository: REPO_OWNER and REPO_NAME, REPO_URL, or both where they agree.
func (l *loader) completeTarget(pool *FilePool) {
	const targetPath, namePath = "pools[0].target", "pools[0].name"
	owner, ownerSet := l.env.get(repoOwner)
	name, nameSet := l.env.get(repoName)
	address, urlSet := l.env.get(repoURL)
	for _, v := range []struct {
		variable
		set bool
	}{{owner, ownerSet}, {name, nameSet}, {address, urlSet}} {
		if v.set && v.text == "" { // a faulty line, told already
			l.broken = append(l.broken, targetPath, namePath)
			return
		}
	}
	from := Origin{Kind: FromDefault}
	if !ownerSet {
		owner.text = defaultOwner
	} else {
		from = owner.origin
	}
	if !nameSet {
		name.text = defaultRepo
	} else {
		from = name.origin
	}
	if urlSet {
		urlOwner, urlName, ok := l.repositoryURL(address)
		if !ok {
			l.broken = append(l.broken, targetPath, namePath)
			return
		}
		for _, part := range []struct {
			set      bool
			is       variable
			want     string
			variable string
		}{{ownerSet, owner, urlOwner, repoOwner}, {nameSet, name, urlName, repoName}} {
			if part.set && !strings.EqualFold(part.is.text, part.want) {
				l.problem(address.origin, targetPath, fmt.Sprintf("names %s/%s, but %s is %q", urlOwner, urlName, part.variable, part.is.text),
					"want both to name one repository, or only one of them set")
			}
		}
		if !ownerSet || !nameSet {
			from = address.origin
		}
		if !ownerSet {
			owner.text = urlOwner
		}
		if !nameSet {
			name.text = urlName
		}
	}
	pool.Target = owner.text + "/" + name.text
	l.origins[targetPath] = from
	pool.Name = PoolName(name.text)
	l.origins[namePath] = Origin{Kind: FromDefault, Why: "the repository's name"}
}

// repositoryURL reads REPO_URL. A host that isn't github.com says where the API is, unless something else does.
func (l *loader) repositoryURL(v variable) (owner, name string, ok bool) {
	const path, want = "pools[0].target", "want https://github.com/OWNER/REPO"
	u, err := url.Parse(v.text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !validPort(u.Port()) {
		l.problem(v.origin, path, "not the address of a repository", want)
		return "", "", false
	}
	parts := strings.Split(strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git"), "/")
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		l.problem(v.origin, path, fmt.Sprintf("%q names no repository", v.text), want)
		return "", "", false
	}
	host := strings.TrimPrefix(strings.ToLower(u.Host), "www.")
	if apiPath := "github.api_url"; host != githubHost && !l.known(apiPath) {
		l.file.GitHub.APIURL = EnterpriseAPI(u)
		l.origins[apiPath] = v.origin
		l.warn(v.origin, apiPath, fmt.Sprintf("is not set; %s is taken from %s: set GITHUB_API_URL if that is wrong", l.file.GitHub.APIURL, repoURL))
	}
	return parts[0], parts[1], true
}

// EnterpriseAPI is where the REST API of a host is that isn't github.com: /api/v3 on GitHub Enterprise Server, a host
// of its own on GHE.com (GitHub docs, "Getting started with the REST API").
func EnterpriseAPI(repository *url.URL) string {
	if strings.HasSuffix(strings.ToLower(repository.Hostname()), ".ghe.com") {
		return repository.Scheme + "://api." + repository.Host
	}
	return repository.Scheme + "://" + repository.Host + "/api/v3"
}

// PoolName makes a pool's name out of a repository's.
func PoolName(repository string) string {
	name := strings.TrimLeft(strings.ToLower(repository), ".-")
	if name == "" {
		return "pool"
	}
	return name[:min(len(name), 63)]
}
