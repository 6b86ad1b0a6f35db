package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/runner"
)

// File is a file to write.
type File struct {
	// Path is absolute.
	Path    string
	Content []byte
	// Secret says that only its owner may read it, and that nobody is shown what is in it.
	Secret bool
}

// Files are a configuration that isn't written yet.
type Files struct {
	// Config is mayfly.yaml; Secrets are the files that it names and that have to be written. One that the user named stays as
	// it is and isn't here.
	Config  File
	Secrets []File
	// Loaded is what the files mean.
	Loaded *config.Config
	// Findings are what the checks of `mayfly check` found that isn't well; they have been said.
	Findings []check.Finding
	// hide are secrets that mayfly.yaml may have held so far: what it loses is shown without them.
	hide []string
	// Build is the image that has to be built before there can be runners; "" for none.
	Build string
}

// owned are the keys that the questions decide: of an existing mayfly.yaml they aren't kept.
var owned = []string{
	"proxmox.url", "proxmox.endpoints", "proxmox.node", "proxmox.token_id", "proxmox.token_secret", "proxmox.token_secret_file",
	"proxmox.verify_tls", "proxmox.ca_file", "proxmox.fingerprint", "proxmox.resource_pool",
	"github.api_url", "github.token", "github.token_file", "vmids.start", "vmids.end", "max_runners",
	"pools[0].name", targetKey, targetsKey, "pools[0].labels", "pools[0].template", "pools[0].image",
}

// unasked are keys that no question is about, but that an environment may have.
var unasked = []string{
	"name_prefix", "poll_interval", "handoff", "snippets_dir", "user_data_template", "proxmox.storage",
	"pools[0].jobs.events", "pools[0].jobs.forks", "pools[0].runner_user",
}

// files makes the files, and reads them back as they will be read.
func (w *wizard) files() (Files, error) {
	w.keep()
	w.put(installationKey, w.installation(w.range0), "from name_prefix and vmids.start")
	f := Files{Config: File{Path: w.o.File}, Build: w.build}
	for _, s := range w.before {
		if !s.Secret.IsZero() {
			f.hide = append(f.hide, s.Secret.Reveal())
		}
	}
	var text bytes.Buffer
	head := []string{
		"Mayfly's configuration, written by mayfly init. Every key: docs/configuration.md.",
		"mayfly config check reads it without using it; mayfly config show --origin prints all that is in force.",
	}
	if err := config.Write(&text, head, w.notes); err != nil {
		return Files{}, err
	}
	f.Config.Content = text.Bytes()
	for _, key := range []string{"proxmox.token_secret", "github.token"} {
		path := w.note(key + "_file")
		if _, named := w.given[key+"_file"]; !named {
			f.Secrets = append(f.Secrets, File{Path: path, Content: []byte(w.secret[key].Reveal() + "\n"), Secret: true})
		}
	}
	loaded, _, err := config.Load(config.LoadOptions{File: f.Config.Path, ReadFile: f.read, Stat: f.stat})
	if err != nil {
		return Files{}, fmt.Errorf("the answers don't fit together:\n%w", err)
	}
	for _, x := range loaded.Warnings {
		w.con.say("warning: %s", x)
	}
	f.Loaded = loaded
	return f, nil
}

// keep takes over what no question was about: from the environment, and from an existing mayfly.yaml.
func (w *wizard) keep() {
	for _, path := range unasked {
		if s, ok := w.given[path]; ok {
			w.put(path, s.Value, from0(s.Origin))
		}
	}
	if w.note("handoff") != "" && w.note("handoff") == config.Default("handoff") {
		for _, path := range []string{"snippets_dir", "user_data_template", "proxmox.storage"} { // of no use then
			w.drop(path)
		}
	}
	if w.keepsTargets() {
		w.drop(targetKey)
		w.put(targetsKey, w.before[targetsKey].Value, "as before")
	}
	for _, path := range w.kept {
		if !slices.Contains(owned, path) && w.note(path) == "" {
			w.put(path, w.before[path].Value, "")
		}
	}
}

// secretPath is the file of a secret: the one that was named with it, that of an existing mayfly.yaml, or one beside mayfly.yaml.
func (w *wizard) secretPath(key string) string {
	fileKey := key + "_file"
	for _, m := range []map[string]config.Setting{w.given, w.before} {
		if s, ok := m[fileKey]; ok {
			if path, err := absolute(s.Value); err == nil {
				return path
			}
		}
	}
	return filepath.Join(filepath.Dir(w.o.File), map[string]string{"proxmox.token_secret": "proxmox.secret", "github.token": "github.token"}[key])
}

func absolute(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find folder of a file: %w", err)
	}
	return path, nil
}

// all are the files in the order to write them: a mayfly.yaml is only there when what it names is.
func (f Files) all() []File { return append(slices.Clone(f.Secrets), f.Config) }

// read and stat stand in for files that aren't written yet.
func (f Files) read(path string) ([]byte, error) {
	for _, file := range f.all() {
		if file.Path == path {
			return file.Content, nil
		}
	}
	return os.ReadFile(path)
}

func (f Files) stat(path string) (fs.FileInfo, error) {
	for _, file := range f.all() {
		if file.Path == path {
			return nil, fs.ErrNotExist
		}
	}
	return os.Stat(path)
}

// Changes tells what writing would change, in lines for people: what mayfly.yaml loses (-) and gets (+), and which files are new
// or get another secret. It is "" where everything is as it would be.
func (f Files) Changes() (string, error) {
	var out strings.Builder
	for _, file := range f.all() {
		old, err := os.ReadFile(file.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			fmt.Fprintf(&out, "%s: new\n", file.Path)
		case err != nil:
			return "", fmt.Errorf("compare with what is there: %w", err)
		case file.Secret && !file.says(old):
			fmt.Fprintf(&out, "%s: another secret\n", file.Path)
		case !file.Secret && !file.says(old):
			fmt.Fprintf(&out, "%s:\n%s", file.Path, difference(string(old), string(file.Content)))
		}
	}
	shown := out.String()
	for _, secret := range f.hide {
		shown = strings.ReplaceAll(shown, secret, runner.Redacted)
	}
	return secretForm.ReplaceAllString(shown, runner.Redacted), nil
}

// says reports whether a file says the same as what is there: apart from white space at its ends and, of mayfly.yaml, from the
// words on where a value is from.
func (f File) says(old []byte) bool {
	if !f.Secret {
		return difference(string(old), string(f.Content)) == ""
	}
	return bytes.Equal(bytes.TrimSpace(old), bytes.TrimSpace(f.Content))
}

// ErrExists says that a file is there that would change.
var ErrExists = errors.New("already there, and not the same")

// Write writes the files, each whole or not at all, mayfly.yaml last. Without force it changes none that is there: the error is
// [ErrExists].
func (f Files) Write(force bool) error {
	var changed []File
	for _, file := range f.all() {
		old, err := os.ReadFile(file.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			changed = append(changed, file)
		case err != nil:
			return fmt.Errorf("look at what is there: %w", err)
		case !file.says(old):
			if !force {
				return fmt.Errorf("write %s: %w", file.Path, ErrExists)
			}
			changed = append(changed, file)
		}
	}
	return writeAll(changed)
}
