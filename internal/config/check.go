package config

import (
	"crypto/x509"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"mayfly/internal/runner"
)

// check looks at every value by itself, then at how they fit together.
func (l *loader) check() {
	for _, k := range l.file.keys() {
		switch {
		case l.bad(k.path) || strings.HasPrefix(k.path, "proxmox.url") || strings.HasPrefix(k.path, "proxmox.endpoints") || k.path == "github.api_url":
			// told already, or checked where they were completed
		case !l.known(k.path):
			l.checkRequired(k)
		case l.origins.given(k.path):
			l.checkValue(k)
		}
	}
	l.checkHandoff()
	l.checkTLS()
	l.checkWeb()
	l.checkVMIDs()
	l.checkPace()
	l.checkPools()
	l.checkWarmRoom()
	l.checkImage()
	l.checkPlacement()
	l.checkBootstrap()
}

// checkRequired names what nobody set and nothing stands in for.
func (l *loader) checkRequired(k key) {
	f, _ := formOf(k.tag("form"))
	switch k.tag("required") {
	case "somewhere":
		want := f.want
		if k.field.Type.Name() == "Secret" {
			want = fmt.Sprintf("want the token itself, or its file in %s_FILE", k.tag("env"))
		}
		l.missing(k.path, k.tag("env"), want)
	case "always":
		at, _, _ := strings.Cut(k.path, "]")
		l.problem(l.origins[at+"]"], k.path, "not set", f.want)
	}
}

// missing names a required key, or its variable where there is no file.
func (l *loader) missing(path, name, want string) {
	if l.opts.File == "" {
		l.problem(Origin{Name: name}, path, "not set", want)
		return
	}
	l.problem(Origin{File: l.opts.File}, path, "not set, nor is "+name, want)
}

// checkValue holds a value against its form, its list of values or its range.
func (l *loader) checkValue(k key) {
	from := l.origins[k.path]
	f, hasForm := formOf(k.tag("form"))
	switch v := k.value.Interface().(type) {
	case string:
		switch {
		case k.path == "proxmox.token_id" && !f.matches(v):
			l.tokenID(k, v, f)
		case k.path == "proxmox.fingerprint" && !f.matches(v):
			l.fingerprint(k, v, f)
		case hasForm && !f.matches(v) && strings.Contains(v, "://") && strings.Contains(v, "@"):
			l.problem(from, k.path, "credentials in an address", f.want) // which are not repeated
		case hasForm && !f.matches(v):
			l.problem(from, k.path, fmt.Sprintf("%q is not such a value", v), f.want)
		case k.tag("oneof") != "" && !slices.Contains(among(k.tag("oneof")), v):
			l.problem(from, k.path, fmt.Sprintf("%q is not such a value", v), k.wantOneOf())
		}
	case []string:
		for i, text := range v {
			if hasForm && !f.matches(text) {
				at, origin := k.path, from
				if o, ok := l.origins[index(k.path, i)]; ok {
					at, origin = index(k.path, i), o
				}
				l.problem(origin, at, fmt.Sprintf("%q is not such a value", text), f.want)
			}
		}
	default:
		if !k.inRange() {
			l.problem(from, k.path, fmt.Sprintf("%v is out of range", v), k.wantRange())
		}
	}
}

// bareUser is a Proxmox user without a token's name.
var bareUser = regexp.MustCompile(`^[^ :/!=]+@[A-Za-z][A-Za-z0-9._-]+$`)

// tokenID says what a token's id lacks. It shows nothing that may hold the secret, as "USER@REALM!NAME=SECRET" does.
func (l *loader) tokenID(k key, v string, f form) {
	from := l.origins[k.path]
	switch {
	case strings.Contains(v, "="):
		l.problem(from, k.path, "an equals sign in it", f.want+"; what follows the equals sign is the secret and has a key of its own")
	case bareUser.MatchString(v):
		l.problem(from, k.path, fmt.Sprintf("%q is a user without a token", v), fmt.Sprintf("want the token's name after it, %s!NAME; `pveum user token list %s` names them", v, v))
	default:
		l.problem(from, k.path, fmt.Sprintf("%q is not a token's id", v), f.want)
	}
}

// sha1Form is what a SHA-1 fingerprint looks like: older tools still show it.
var sha1Form = regexp.MustCompile(`^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){19}$`)

func (l *loader) fingerprint(k key, v string, f form) {
	wrong := fmt.Sprintf("%q is not a fingerprint", v)
	if sha1Form.MatchString(v) {
		wrong = "that is a SHA-1 fingerprint"
	}
	l.problem(l.origins[k.path], k.path, wrong, f.want)
}

// checkTLS reads the CA file, so that a wrong one is told now and not as a failed handshake.
func (l *loader) checkTLS() {
	const path = "proxmox.ca_file"
	file := l.file.Proxmox.CAFile
	if file == "" || l.bad(path) {
		return
	}
	text, err := l.opts.ReadFile(file)
	switch {
	case err != nil:
		l.problem(l.origins[path], path, fmt.Sprintf("%s can't be read: %s", file, cause(err)), "want a PEM file, /etc/pve/pve-root-ca.pem of any node")
	case !x509.NewCertPool().AppendCertsFromPEM(text):
		l.problem(l.origins[path], path, fmt.Sprintf("%s holds no certificate", file), "want a PEM file, /etc/pve/pve-root-ca.pem of any node")
	}
}

func (l *loader) checkWeb() {
	const path = "web.listen"
	listen := l.file.Web.Listen
	if listen == "" || l.bad(path) {
		return
	}
	f, _ := formOf("listen")
	host, port, err := net.SplitHostPort(listen)
	switch {
	case err != nil || !validListenPort(port):
		l.problem(l.origins[path], path, fmt.Sprintf("%q is not such a value", listen), f.want)
	case !isLoopback(host) && !l.file.Web.AllowRemote:
		l.problem(l.origins[path], path, fmt.Sprintf("%q is reachable from other machines", listen),
			"want a loopback address such as 127.0.0.1:9180, or web.allow_remote: true if it is meant")
	}
}

// validListenPort admits 0, for which the system picks a port.
func validListenPort(port string) bool { return port == "0" || (port != "" && validPort(port)) }

func (l *loader) checkVMIDs() {
	r := VMIDRange(l.file.VMIDs)
	if l.bad("vmids") {
		return
	}
	from, path := l.origins["vmids.end"], "vmids.end"
	if !l.origins.given(path) {
		from, path = l.origins["vmids.start"], "vmids.start"
	}
	switch {
	case r.Start > r.End:
		l.problem(from, path, fmt.Sprintf("the range from %d to %d is empty", r.Start, r.End), "want start before end")
	case l.bad("max_runners"):
	case r.Size() < l.file.MaxRunners:
		l.problem(l.origins["max_runners"], "max_runners", fmt.Sprintf("%d runners don't fit into the %d VMIDs from %d to %d", l.file.MaxRunners, r.Size(), r.Start, r.End),
			"want a wider range or fewer runners")
	}
}

// slowEnough is the shortest poll interval that leaves most of GitHub's 5000 requests an hour unused while runs are
// active (about four requests a poll; unchanged replies cost nothing).
const slowEnough = Duration(5e9)

func (l *loader) checkPace() {
	const path = "poll_interval"
	if !l.bad(path) && l.file.PollInterval < slowEnough {
		l.warn(l.origins[path], path, fmt.Sprintf("%s is short: GitHub's hourly limit may be used up; %s or more is safe", l.file.PollInterval, slowEnough))
	}
}

// isTarget reports whether the domain admits the target.
func isTarget(s string) bool {
	_, err := runner.ParseTarget(s)
	return err == nil
}
