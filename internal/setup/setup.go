package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"golang.org/x/sys/unix"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Options say what is known beforehand and who is asked for the rest.
type Options struct {
	// In gives answers and Out gets questions. Where In is a terminal, secrets aren't shown while they are typed. A read from
	// anything but an *os.File has to come back by itself: ctx doesn't end it.
	In  io.Reader
	Out io.Writer
	// File is the path of the mayfly.yaml to write. One that is there gives defaults.
	File string
	// EnvFile is the path of a file of NAME=value lines, "" for none, and Env the environment, "NAME=value" each. What they say
	// is an answer: it is tried, and asked for only where it is wrong.
	EnvFile string
	Env     []string
	// Answers come from flags and win over both.
	Answers []Answer
	// Yes asks nothing: what has no answer takes its default, and what has none either is an error.
	Yes bool
	// PinCertificate accepts the certificate that Proxmox shows where nothing vouches for it, without a question.
	PinCertificate bool
	// NoChecks leaves out the checks of `mayfly check` at the end, for a caller that makes them itself.
	NoChecks bool
	// Version is Mayfly's, for GitHub's log.
	Version string
	// Logger gets each request at debug; nil discards.
	Logger *slog.Logger
}

// Answer is the value for a key, as a variable would hold it.
type Answer struct {
	// Path is the key, "proxmox.node", and Flag what it was said with, "--node".
	Path, Flag, Value string
}

// ErrInterrupted says that the questions weren't answered to the end; nothing was written.
var ErrInterrupted = errors.New("interrupted; nothing was written")

// Ask asks for everything that a configuration needs, and tries it. It writes nothing. The error is [ErrInterrupted] when ctx
// ends or Ctrl-C is typed, of type config.Problems when an existing configuration can't be read, else it tells which answer is
// missing or wrong and how to give it.
func Ask(ctx context.Context, o Options) (Files, error) {
	w, err := newWizard(o)
	if err != nil {
		return Files{}, err
	}
	defer w.close()
	for _, step := range []func(context.Context) error{
		w.reachProxmox, w.proxmoxToken, w.node, w.resourcePool, w.template, w.builds, w.vmids,
		w.targetAndToken, w.labels, w.maxRunners,
	} {
		err := step(ctx)
		if ctx.Err() != nil || errors.Is(err, ErrInterrupted) {
			return Files{}, ErrInterrupted
		}
		if err != nil {
			return Files{}, err
		}
	}
	files, err := w.files()
	if err != nil {
		return Files{}, err
	}
	if !o.NoChecks {
		files.Findings = w.lookOver(ctx, files)
	}
	if ctx.Err() != nil {
		return Files{}, ErrInterrupted
	}
	return files, nil
}

// wizard is one run of the questions, with what earlier ones have brought.
type wizard struct {
	o   Options
	con *console

	given  map[string]config.Setting // answers of flags, environment and env file, by key
	before map[string]config.Setting // what mayfly.yaml says already
	kept   []string                  // keys of before, in their order
	notes  []config.Note             // what is to be written
	// further are the repositories that the pool of mayfly.yaml serves beside its first.
	further []string
	secret  map[string]runner.Secret // by key

	pve       *proxmox.Client
	gh        *github.Client
	granted   map[string]map[string]bool // what Proxmox's token may do
	node0     string                     // the node that runners live on
	resources []proxmox.Resource
	storages  []proxmox.Storage // of that node
	build     string            // image that has to be built first; "" for none
	range0    config.VMIDRange
	free      map[int]bool // by VMID that was asked for, whether nobody has it
	room      string       // how many runners the node has room for, in words
}

func newWizard(o Options) (*wizard, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	file, err := filepath.Abs(o.File)
	if err != nil {
		return nil, fmt.Errorf("find folder of %s: %w", o.File, err)
	}
	o.File = file
	w := &wizard{
		o: o, con: newConsole(o.In, o.Out),
		given: map[string]config.Setting{}, before: map[string]config.Setting{}, secret: map[string]runner.Secret{},
		free: map[int]bool{},
	}
	// Told now, not after the last answer.
	if err := unix.Access(filepath.Dir(file), unix.W_OK|unix.X_OK); err != nil {
		return nil, fmt.Errorf("write into %s: %w; make that folder (mkdir -p), or give another file by --config", filepath.Dir(file), err)
	}
	if err := w.gather(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *wizard) close() {
	if w.pve != nil {
		w.pve.Close()
	}
	if w.gh != nil {
		w.gh.Close()
	}
}

// lookOver runs the checks of `mayfly check` that the questions left out, says what they find, and gives what isn't well.
func (w *wizard) lookOver(ctx context.Context, files Files) []check.Finding {
	w.con.head("Looking it over")
	features := []check.Feature{check.Run}
	if w.build != "" {
		features = append(features, check.Build)
	}
	all := check.Look(ctx, check.Options{Config: files.Loaded, Proxmox: w.pve, GitHub: w.gh, Features: features})
	var bad []check.Finding
	for _, f := range all {
		if !f.Level.Bad() || f.ID == "template-missing" && w.build != "" {
			continue
		}
		bad = append(bad, f)
		w.con.say("%s: %s: %s", f.Level, f.What, f.Reason)
		if f.Cure != "" {
			w.con.say("  -> %s", f.Cure)
		}
	}
	if len(bad) == 0 {
		w.con.say("ok: nothing found that would keep jobs from running")
	}
	return bad
}
