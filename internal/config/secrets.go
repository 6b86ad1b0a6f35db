package config

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"unicode"

	"mayfly/internal/runner"
)

// worldReadable is the permission bit that lets every user of the machine read a file.
const worldReadable fs.FileMode = 0o004

// secretKey is a secret and the key of the file that may hold it instead.
type secretKey struct{ secret, file key }

// secretKeys lists the secrets: each has a neighbour of its name with "_file".
func (f *File) secretKeys() []secretKey {
	byPath := map[string]key{}
	for _, k := range f.keys() {
		byPath[k.path] = k
	}
	var list []secretKey
	for _, k := range f.keys() {
		if k.field.Type == reflect.TypeFor[runner.Secret]() {
			list = append(list, secretKey{k, byPath[k.path+"_file"]})
		}
	}
	return list
}

// applyCredentials takes secrets that systemd passed as credentials: files named after the variable, in lower or upper
// case. They win over mayfly.yaml.
func (l *loader) applyCredentials() {
	dir, ok := l.env.process[credentialsDirectory]
	if !ok {
		return
	}
	for _, s := range l.file.secretKeys() {
		name := s.secret.tag("env")
		for _, credential := range []string{strings.ToLower(name), name} {
			path := filepath.Join(dir.text, credential)
			text, err := l.opts.ReadFile(path)
			if err != nil {
				continue // most units pass other credentials, or this one under the other name
			}
			l.setSecret(s.secret, string(text), Origin{Kind: FromCredential, Name: credential, Through: path})
			break
		}
	}
}

// applySecretFiles reads the secrets that stand in files of their own. In one place a secret and its file exclude each
// other; a file named in a stronger place wins over a secret in a weaker one.
func (l *loader) applySecretFiles() {
	for _, s := range l.file.secretKeys() {
		secret, secretGiven := l.origins[s.secret.path]
		file, fileGiven := l.origins[s.file.path]
		path := s.file.value.String()
		switch {
		case fileGiven && secretGiven && secret.strength() > file.strength():
			s.file.value.SetString("")
			delete(l.origins, s.file.path)
		case fileGiven && secretGiven && secret.strength() == file.strength():
			name := s.file.tag("env")
			if secret.Kind == FromFile {
				name = s.file.path
			}
			l.problem(secret, s.secret.path, "set beside "+name, "want one of the two")
		case fileGiven && path != "":
			l.readSecretFile(s, path, file)
		case secretGiven && !l.bad(s.secret.path):
			value, _ := s.secret.value.Interface().(runner.Secret)
			l.setSecret(s.secret, value.Reveal(), secret)
			l.warnReadable(secret, s.secret.path)
		}
	}
}

// strength orders the kinds of places; the stronger one wins.
func (o Origin) strength() int {
	return map[OriginKind]int{FromFile: 1, FromCredential: 2, FromEnvFile: 3, FromEnv: 4, FromFlag: 5}[o.Kind]
}

func (l *loader) readSecretFile(s secretKey, path string, from Origin) {
	from.Through = path
	text, err := l.opts.ReadFile(path)
	if err != nil {
		words, want := fmt.Sprintf("%s can't be read: %s", path, cause(err)), "want a file that holds the secret and nothing else"
		if looksSecret(path) {
			words, want = "no file has this name, which looks like a secret itself and isn't shown", want+"; the secret itself goes into "+s.secret.tag("env")
		}
		l.problem(from, s.file.path, words, want)
		l.origins[s.secret.path] = from
		return
	}
	if info, err := l.opts.Stat(path); err == nil && info.Mode()&worldReadable != 0 {
		l.warn(from, s.file.path, fmt.Sprintf("every user of this machine can read %s; chmod 600 %s", path, path))
	}
	l.setSecret(s.secret, string(text), from)
}

// looksSecret reports whether the name of a file is rather what should be in it: long, and neither a path nor with an
// extension. Proxmox's secrets have 36 characters, GitHub's 40 and more.
func looksSecret(name string) bool {
	const shortest = 36
	return len(name) >= shortest && !strings.ContainsAny(name, "/.")
}

// warnReadable warns of a secret that stands in a configuration file that everybody can read.
func (l *loader) warnReadable(from Origin, path string) {
	if from.File == "" {
		return
	}
	if info, err := l.opts.Stat(from.File); err == nil && info.Mode()&worldReadable != 0 {
		l.warn(from, path, fmt.Sprintf("every user of this machine can read the secret in %s; chmod 600 %s", from.File, from.File))
	}
}

// setSecret checks what no secret of Proxmox or GitHub can hold, without ever showing it. A newline at the end is what
// editors and echo put there.
func (l *loader) setSecret(k key, text string, from Origin) {
	l.origins[k.path] = from
	text = strings.TrimSpace(text)
	where := ""
	if from.Through != "" {
		where = " in " + from.Through
	}
	switch {
	case text == "":
		l.problem(from, k.path, "no secret"+where, "want the token itself")
	case text == runner.Redacted:
		l.problem(from, k.path, `"***"`+where+" is how a secret is shown", "want the token itself")
	case strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) || unicode.IsSpace(r) }):
		l.problem(from, k.path, "white space or an odd character inside the secret"+where, "want the token itself, on one line, and nothing else")
	}
	k.value.Set(reflect.ValueOf(runner.NewSecret(text)))
}
