package handoff

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"mayfly/internal/cloudinit"
	"mayfly/internal/runner"
)

// maxSnippetName is NAME_MAX of the file systems that snippets are on.
const maxSnippetName = 255

// storageForm is a storage's id (pve-common PVE/JSONSchema.pm, parse_storage_id).
var storageForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]$`)

// SnippetOptions says where snippets go.
type SnippetOptions struct {
	// Dir is the snippets folder of the storage, mounted on this machine (SNIPPETS_DIR).
	Dir string
	// Storage is Proxmox's name of that storage (PROXMOX_STORAGE).
	Storage string
	// Installation is in every file name, so that installations that share a storage leave each other's files alone.
	Installation string
	// Template is what is filled in.
	Template *cloudinit.Template
}

// Snippet hands identities over in cloud-init user-data: a file in the snippets folder of a storage, which the VM's
// cicustom option names and Proxmox copies into the VM's cloud-init drive while it starts it (qemu-server
// PVE/QemuServer/Cloudinit.pm). When the start task has ended nobody reads the file any more: [Snippet.Clear] it then.
// The copy in the drive lives until the VM is destroyed.
//
// Its methods wait for the file system. A network mount whose server is gone can hold them for as long as the mount's
// options say, and no context ends that: call them from the step of one runner, never from what serves all.
type Snippet struct {
	opts SnippetOptions
	// file and temporary are the forms of our own file names, each with the runner's name in it.
	file, temporary *regexp.Regexp
}

// NewSnippet checks the options, without looking at the folder: [Snippet.Check] does.
func NewSnippet(o SnippetOptions) (*Snippet, error) {
	err := runner.CheckInstallation(o.Installation)
	switch {
	case o.Dir == "":
		return nil, &SnippetUploadError{Storage: o.Storage}
	case !storageForm.MatchString(o.Storage):
		return nil, fmt.Errorf("snippet hand-off: storage %q: want a storage's name, for example local", o.Storage)
	case err != nil:
		return nil, fmt.Errorf("snippet hand-off: %w", err)
	case o.Template == nil:
		return nil, errors.New("snippet hand-off: no user-data template")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("snippet hand-off: find SNIPPETS_DIR: %w", err)
	}
	// A runner's name has no underscore, so the last one in a file name ends the installation's, whatever that holds.
	name := regexp.QuoteMeta("mayfly-"+o.Installation+"_") + `([A-Za-z0-9-]+)` + regexp.QuoteMeta(snippetSuffix)
	return &Snippet{
		opts:      o,
		file:      regexp.MustCompile(`^` + name + `$`),
		temporary: regexp.MustCompile(`^\.` + name + `\.[0-9]+` + regexp.QuoteMeta(temporarySuffix) + `$`),
	}, nil
}

const (
	snippetSuffix   = ".yaml"
	temporarySuffix = ".tmp"
)

// fileName is the snippet of a runner.
func (s *Snippet) fileName(name string) string {
	return "mayfly-" + s.opts.Installation + "_" + name + snippetSuffix
}

// Needs tells which identity to mint.
func (s *Snippet) Needs() cloudinit.Needs { return s.opts.Template.Needs() }

// Lasts reports that the user-data need not stay until the guest has read it: Proxmox has copied it when the VM runs.
func (s *Snippet) Lasts() bool { return false }

// Eject gives nothing to do: the copy in the cloud-init drive stays as long as the VM.
func (s *Snippet) Eject(map[string]string, string) map[string]string { return nil }

// Prepare writes the user-data of a VM that hasn't been started yet, and returns the config options to set before the
// start. They hold no secret. Doing it again replaces the file: a name is good for one VM, and nobody has read it.
func (s *Snippet) Prepare(ctx context.Context, g SeedGuest, id SeedIdentity) (map[string]string, error) {
	set, err := s.prepare(ctx, g, id)
	if err != nil {
		return nil, fmt.Errorf("write user-data of %s for VM %d: %w", id.Name, g.VM.VMID, err)
	}
	return set, nil
}

func (s *Snippet) prepare(ctx context.Context, g SeedGuest, id SeedIdentity) (map[string]string, error) {
	if err := s.CheckVM(g.Config); err != nil {
		return nil, err
	}
	name := s.fileName(id.Name)
	if len(name)+len("..4294967295"+temporarySuffix) > maxSnippetName {
		return nil, fmt.Errorf("file name %s is too long; shorten the installation or the runner name prefix", name)
	}
	data, err := s.opts.Template.Render(cloudinit.Values{
		RepoURL: g.RepoURL, RegistrationToken: id.RegistrationToken, Labels: g.Labels, Name: id.Name, User: g.User, JITConfig: id.JITConfig,
		Pool: g.Pool, Jobs: g.Policy,
	})
	if err != nil {
		return nil, err
	}
	if err := writeSnippet(ctx, s.opts.Dir, name, data); err != nil {
		return nil, err
	}
	return map[string]string{"cicustom": withUser(g.Config["cicustom"], s.opts.Storage+":snippets/"+name)}, nil
}

// Clear removes a runner's user-data, when the start task has ended or the VM is given up. A file that isn't there is
// fine. Nothing is overwritten first: on copying and networked file systems that would erase nothing.
func (s *Snippet) Clear(_ context.Context, name string) error {
	if !runner.IsName(name) {
		return fmt.Errorf("remove user-data of %q: not a runner's name", name)
	}
	err := os.Remove(filepath.Join(s.opts.Dir, s.fileName(name)))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("remove user-data of %s: %w; it holds the runner's identity: remove it by hand", name, err)
	}
	return syncDir(s.opts.Dir)
}
