package handoff

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Storage is what the iso hand-off needs of the Proxmox client.
type Storage interface {
	Upload(ctx context.Context, node string, u proxmox.Upload) (proxmox.UPID, error)
	DeleteVolume(ctx context.Context, node, id string) (proxmox.UPID, error)
	Volumes(ctx context.Context, node, storage, content string) ([]proxmox.Volume, error)
	WaitTask(ctx context.Context, upid proxmox.UPID) error
}

// ISOOptions says where ISO images go.
type ISOOptions struct {
	// Storage is Proxmox's name of a storage with content type iso (PROXMOX_STORAGE), as Node sees it.
	Storage, Node string
	// Installation is in every file name, so that installations that share a storage leave each other's files alone.
	Installation string
	// Template is what is filled in.
	Template *cloudinit.Template
	// Pause is between two tries of a call whose failure may pass; 0 is 2 s.
	Pause time.Duration
	// Logger is told once what the token may not do; nil discards.
	Logger *slog.Logger
}

// ISO hands identities over on a NoCloud medium: an ISO image that is uploaded by API, put into a CD-ROM drive of the VM
// before it starts, and taken out and deleted when the guest has read it. Where the token may not delete it
// (Datastore.Allocate), an empty image takes its place, and later runners reuse the file.
type ISO struct {
	pve  Storage
	opts ISOOptions
	file *regexp.Regexp // of our own file names, with the runner's name in it

	mu       sync.Mutex           // guards what follows; never held over a wait
	held     map[string]string    // by runner: the file that has its identity, or may have it
	empty    map[string]time.Time // files that hold nothing, and since when
	noDelete bool                 // the token may not delete, as an answer told
}

// NewISO checks the options. It does no I/O.
func NewISO(pve Storage, o ISOOptions) (*ISO, error) {
	err := runner.CheckInstallation(o.Installation)
	switch {
	case !storageForm.MatchString(o.Storage):
		return nil, fmt.Errorf("iso hand-off: storage %q: want a storage's name, for example local", o.Storage)
	case o.Node == "":
		return nil, errors.New("iso hand-off: no node")
	case err != nil:
		return nil, fmt.Errorf("iso hand-off: %w", err)
	case o.Template == nil:
		return nil, errors.New("iso hand-off: no user-data template")
	}
	if o.Pause <= 0 {
		o.Pause = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &ISO{
		pve: pve, opts: o, held: map[string]string{}, empty: map[string]time.Time{},
		// A runner's name has no underscore, so the last one in a file name ends the installation's, whatever that holds.
		file: regexp.MustCompile(`^` + regexp.QuoteMeta("mayfly-"+o.Installation+"_") + `([A-Za-z0-9-]+)\.iso$`),
	}, nil
}

// fileName is the image of a runner.
func (s *ISO) fileName(name string) string {
	return "mayfly-" + s.opts.Installation + "_" + name + ".iso"
}

// volume is a file's ID for Proxmox.
func (s *ISO) volume(file string) string { return s.opts.Storage + ":iso/" + file }

// Needs tells which identity to mint.
func (s *ISO) Needs() cloudinit.Needs { return s.opts.Template.Needs() }

// Lasts reports that the medium has to stay until the guest has read it, not only until its VM has started.
func (s *ISO) Lasts() bool { return true }

// Prepare uploads the medium of a VM that hasn't been started yet, and returns the config options to set before the
// start. They hold no secret. Doing it again replaces the image: a name is good for one VM, and nobody has read it.
func (s *ISO) Prepare(ctx context.Context, g SeedGuest, id SeedIdentity) (map[string]string, error) {
	set, err := s.prepare(ctx, g, id)
	if err != nil {
		return nil, fmt.Errorf("upload user-data of %s for VM %d: %w", id.Name, g.VM.VMID, err)
	}
	return set, nil
}

func (s *ISO) prepare(ctx context.Context, g SeedGuest, id SeedIdentity) (map[string]string, error) {
	drive, err := seedDrive(g.Config)
	if err != nil {
		return nil, err
	}
	if name := s.fileName(id.Name); len(name) > maxSnippetName {
		return nil, fmt.Errorf("file name %s is too long; shorten the installation or the runner name prefix", name)
	}
	data, err := s.opts.Template.Render(cloudinit.Values{
		RepoURL: g.RepoURL, RegistrationToken: id.RegistrationToken, Labels: g.Labels, Name: id.Name, User: g.User, JITConfig: id.JITConfig,
		Pool: g.Pool, Jobs: g.Policy,
	})
	if err != nil {
		return nil, err
	}
	// cloud-init runs once for each instance-id, and a runner's name is never used again.
	image, err := cloudinit.Seed{MetaData: "instance-id: " + id.Name + "\n", UserData: data.Reveal()}.ISO()
	if err != nil {
		return nil, err
	}
	file := s.take(id.Name)
	if err := s.upload(ctx, file, image, id.JITConfig, id.RegistrationToken); err != nil {
		return nil, err
	}
	return map[string]string{drive: s.volume(file) + ",media=cdrom"}, nil
}

// reuseAge is how long a file must have been empty before it is filled again: an upload whose reply was lost may yet
// come through, and then its identity, by now of no use, would be in another runner's medium.
const reuseAge = 2 * time.Minute

// take chooses the file for a runner: one of its own, or, where files can't be deleted, one that has been empty for a
// while.
func (s *ISO) take(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if file, again := s.held[name]; again {
		return file
	}
	file := s.fileName(name)
	if s.noDelete {
		for old, since := range s.empty {
			if time.Since(since) >= reuseAge {
				file = old
				break
			}
		}
	}
	delete(s.empty, file)
	s.held[name] = file
	return file
}

// upload puts an image in place, as often as the step's time allows: the same bytes twice are no harm.
func (s *ISO) upload(ctx context.Context, file string, image []byte, secrets ...runner.Secret) error {
	var known []runner.Secret
	for _, secret := range secrets {
		if !secret.IsZero() {
			known = append(known, secret)
		}
	}
	return s.insist(ctx, func() (proxmox.UPID, error) {
		return s.pve.Upload(ctx, s.opts.Node, proxmox.Upload{
			Storage: s.opts.Storage, Content: "iso", Name: file, Body: bytes.NewReader(image), Size: int64(len(image)), Secrets: known,
		})
	})
}

// insist orders a task and waits for it, again where the failure may pass. What it orders may happen twice.
func (s *ISO) insist(ctx context.Context, order func() (proxmox.UPID, error)) error {
	for {
		upid, err := order()
		if err == nil {
			err = s.pve.WaitTask(ctx, upid)
		}
		if err == nil || !passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(s.opts.Pause):
		}
	}
}

// passing reports whether a failure may go away by itself.
func passing(err error) bool {
	for _, k := range []proxmox.Kind{proxmox.Busy, proxmox.Locked, proxmox.Unavailable, proxmox.Untrusted, proxmox.MaybeHappened} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// Clear removes a runner's medium, when the guest has read it or the VM is given up. One that isn't there is fine.
func (s *ISO) Clear(ctx context.Context, name string) error {
	if !runner.IsName(name) {
		return fmt.Errorf("remove user-data of %q: not a runner's name", name)
	}
	s.mu.Lock()
	file, known := s.held[name]
	s.mu.Unlock()
	if !known { // of before a restart, if there is one at all
		file = s.fileName(name)
		if full, err := s.holds(ctx, file); !full {
			return err
		}
	}
	if err := s.clear(ctx, file); err != nil {
		return fmt.Errorf("remove user-data of %s: %w; until it is gone %s holds the runner's identity", name, err, s.volume(file))
	}
	s.mu.Lock()
	delete(s.held, name)
	s.mu.Unlock()
	return nil
}

// holds reports whether a file is there and not empty. Where the token may not look, it never could upload.
func (s *ISO) holds(ctx context.Context, file string) (bool, error) {
	list, err := s.volumes(ctx)
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", s.volume(file), err)
	}
	return slices.ContainsFunc(list, func(v proxmox.Volume) bool { return v.Name() == file && !isEmpty(v) }), nil
}

// volumes lists the storage's images; none where the token sees no such storage.
func (s *ISO) volumes(ctx context.Context) ([]proxmox.Volume, error) {
	list, err := s.pve.Volumes(ctx, s.opts.Node, s.opts.Storage, "iso")
	if errors.Is(err, proxmox.Permission) || errors.Is(err, proxmox.NotFound) {
		return nil, nil
	}
	return list, err
}

func isEmpty(v proxmox.Volume) bool { return v.Size == runner.Bytes(len(cloudinit.EmptyISO())) }

// clear deletes a file, or overwrites it where the token may not.
func (s *ISO) clear(ctx context.Context, file string) error {
	if s.mayDelete() {
		err := s.remove(ctx, file)
		if !errors.Is(err, proxmox.Permission) {
			return err
		}
		s.cantDelete()
	}
	if err := s.upload(ctx, file, cloudinit.EmptyISO()); err != nil {
		return err
	}
	s.mu.Lock()
	s.empty[file] = time.Now()
	s.mu.Unlock()
	return nil
}

func (s *ISO) remove(ctx context.Context, file string) error {
	return s.insist(ctx, func() (proxmox.UPID, error) { return s.pve.DeleteVolume(ctx, s.opts.Node, s.volume(file)) })
}

func (s *ISO) mayDelete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.noDelete
}

// cantDelete notes that the token may not delete, and says so once.
func (s *ISO) cantDelete() {
	s.mu.Lock()
	known := s.noDelete
	s.noDelete = true
	s.mu.Unlock()
	if !known {
		s.opts.Logger.Warn("iso images stay, emptied", "storage", s.opts.Storage,
			"reason", "the token lacks Datastore.Allocate on /storage/"+s.opts.Storage+", so media are overwritten with an empty image and used again")
	}
}
