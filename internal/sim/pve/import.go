package pve

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// Image is a disk image on a storage, of content "import".
type Image struct {
	Volid string
	// Format is "qcow2", "raw" or "vmdk".
	Format string
	// Size is what a guest sees.
	Size runner.Bytes
	// Path is the file on this machine, for the length of the call.
	Path string
}

// DiskMaker is an [Engine] whose machines have the disks that the API gives them. Of an engine that isn't one, VMs made
// from an image boot whatever the engine boots. Both are called inside a task's worker, never at once with each other or
// with Clone, Start, Stop and Destroy for one VMID; their errors end the task.
type DiskMaker interface {
	// Import makes the disk of a drive ("scsi0") from an image. What a failed one leaves, Destroy removes.
	Import(ctx context.Context, vmid int, drive string, image Image) error
	// Resize makes a disk bigger, also while the machine runs.
	Resize(ctx context.Context, vmid int, drive string, size runner.Bytes) error
}

var importName = regexp.MustCompile(`^import/[a-zA-Z0-9\-.+=_]+\.(ova|qcow2|raw|vmdk)$`)

// importing reads a drive's import-from: the storage of the image, and its name there ("import/x.qcow2").
func (d drive) importing() (store, name string, ok bool) {
	return strings.Cut(d.fields["import-from"], ":")
}

// mayImport refuses what can't be the source of a disk (qemu-server API2/Qemu.pm, check_storage_access).
func (s *Server) mayImport(t *token, opt string, d drive) *apiError {
	source := d.fields["import-from"]
	store, name, ok := d.importing()
	if !ok || store == "" {
		return failf("Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.")
	}
	st := s.storageByID(store)
	if st == nil {
		return failf("storage '%s' does not exist", store)
	}
	kind, _, _ := strings.Cut(name, "/")
	switch {
	case kind == "iso" || kind == "vztmpl" || kind == "snippets" || kind == "backup":
		return badParam(opt, "%s has wrong type '%s' - needs to be 'images' or 'import'", source, kind)
	case vmDisk.MatchString(name):
		return badParam(opt, "%s: the stand-in makes disks of content 'import' only, not of other VMs' disks", source)
	case !st.files() || !importName.MatchString(name):
		return failf("unable to parse %s volume name '%s'", map[bool]string{true: "directory", false: "lvm"}[st.files()], name)
	case strings.HasSuffix(name, ".ova"): // has to be unpacked first, on the same storage
		return badParam(opt, "import working storage '%s' does not support 'images' content type or is not file based.", store)
	}
	return s.requireAny(t, "/storage/"+store, "Datastore.AllocateSpace", "Datastore.Audit")
}

// importDisk makes a drive's disk from an image, inside the qmcreate worker, and returns the option as it is stored.
func (s *Server) importDisk(ctx context.Context, w *worker, v *vm, opt, value string) (string, error) {
	d := parseDrive(opt, value)
	source, store := d.fields["import-from"], d.storage()
	s.lock()
	image, f, err := s.imageFor(v.node, d)
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	w.say(fmt.Sprintf("create full clone of drive (%s)", source))
	s.lock()
	st := s.storageByID(store)
	if image.Size > st.total-s.used(v.node, st) {
		s.mu.Unlock()
		return "", failf("cannot import from '%s' - not enough space on storage '%s': %s needed", source, store, image.Size)
	}
	volid := s.newDisk(v.node, v.id, store, image.Size)
	s.volumes[s.key(v.node, volid)].used = f.size
	v.image = source
	s.mu.Unlock()
	if !st.files() {
		_, name, _ := strings.Cut(volid, ":")
		w.say(`  Logical volume "` + name + `" created.`)
	}
	w.say(fmt.Sprintf("allocated target volume '%s'", volid))
	w.say(fmt.Sprintf("transferred 0.0 B of %s (0.00%%)", image.Size))
	err2 := pause(ctx, s.opts.Timing.FullClone)
	if err2 == nil {
		err2 = s.makeDisk(ctx, v.id, opt, image, f)
	}
	if err2 != nil {
		s.lock()
		delete(s.volumes, s.key(v.node, volid))
		s.mu.Unlock()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", failf("cannot import from '%s' - %s", source, taskText(err2))
	}
	w.say(fmt.Sprintf("transferred %s of %s (100.00%%)", image.Size, image.Size))
	fields := maps.Clone(d.fields)
	for _, k := range []string{"file", "import-from", "format"} {
		delete(fields, k)
	}
	fields["size"] = printSize(image.Size)
	return volid + "," + printProps(fields), nil
}

// imageFor finds a drive's image and looks into it.
func (s *Server) imageFor(node string, d drive) (Image, *file, error) {
	store, name, _ := d.importing()
	path := s.storageByID(store).path(name)
	vol := s.volumes[s.key(node, store+":"+name)]
	if vol == nil || vol.file == nil {
		return Image{}, nil, failf("failed to stat '%s'", path)
	}
	size, err := checkImage(vol.file, vol.format, path)
	if err != nil {
		return Image{}, nil, err
	}
	return Image{Volid: store + ":" + name, Format: vol.format, Size: size}, vol.file, nil
}

// makeDisk has the engine make a disk, where it makes any.
func (s *Server) makeDisk(ctx context.Context, vmid int, drive string, image Image, f *file) error {
	maker, ok := s.opts.Engine.(DiskMaker)
	if !ok {
		return nil
	}
	image.Path = f.path
	if f.path == "" {
		dir, err := s.folder()
		if err != nil {
			return err
		}
		tmp, err := os.CreateTemp(dir, "image-")
		if err != nil {
			return fmt.Errorf("write image: %w", err)
		}
		defer func() { _ = os.Remove(tmp.Name()) }()
		_, err = tmp.Write(f.data)
		if cerr := tmp.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("write image: %w", err)
		}
		image.Path = tmp.Name()
	}
	return maker.Import(ctx, vmid, drive, image)
}

// createDisks makes the drives of a new VM and returns its options with them.
func (s *Server) createDisks(ctx context.Context, w *worker, v *vm, ch *change) (map[string]string, error) {
	conf := map[string]string{}
	undo := func(err error) (map[string]string, error) {
		s.lock()
		s.freeVolumes(&vm{id: v.id, node: v.node, conf: conf})
		s.mu.Unlock()
		return nil, err
	}
	for _, opt := range slices.Sorted(maps.Keys(ch.set)) {
		value := ch.set[opt]
		switch {
		case !isDrive(opt):
		case parseDrive(opt, value).fields["import-from"] != "":
			made, err := s.importDisk(ctx, w, v, opt, value)
			if err != nil {
				return undo(err)
			}
			value = made
			w.say(fmt.Sprintf("%s: successfully created disk '%s'", opt, value))
		default:
			s.lock()
			made, err := s.plugDrive(v, opt, value)
			s.mu.Unlock()
			if err != nil {
				return undo(err)
			}
			value = made
			if newDiskForm.MatchString(parseDrive(opt, ch.set[opt]).file) {
				w.say(fmt.Sprintf("%s: successfully created disk '%s'", opt, value))
			}
		}
		if value != "" {
			conf[opt] = value
		}
	}
	return conf, nil
}

// created is when a VM was made, for its configuration.
func created() string {
	return fmt.Sprintf("creation-qemu=%s,ctime=%d", qemuVersion, time.Now().Unix())
}
