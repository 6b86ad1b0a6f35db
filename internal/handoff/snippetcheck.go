package handoff

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mayfly/internal/proxmox"
)

// SnippetUploadError says that there is no folder to write snippets to, and that Proxmox's API is no way around it.
type SnippetUploadError struct{ Storage string }

// Error names the ways that work.
func (e *SnippetUploadError) Error() string {
	storage := ""
	if e.Storage != "" {
		storage = " " + e.Storage
	}
	return fmt.Sprintf("snippet hand-off: no SNIPPETS_DIR, and no Proxmox VE version takes snippets over its API (upload and download-url "+
		"accept iso, vztmpl and import only); mount the snippets folder of storage%s on this machine and set SNIPPETS_DIR (snippets_dir) to it, "+
		"or use handoff: agent (the template's guest agent; nothing to mount) or handoff: iso (uploaded by API)", storage)
}

// Check looks at the folder at start-up: whether it is there, is the right one and can be written to, and whether others
// could read identities in it or slip in user-data of theirs, which guests run as root.
func (s *Snippet) Check() error {
	if err := s.check(); err != nil {
		return fmt.Errorf("check SNIPPETS_DIR %s: %w", s.opts.Dir, err)
	}
	return nil
}

func (s *Snippet) check() error {
	info, err := os.Stat(s.opts.Dir)
	switch {
	case err != nil:
		return fmt.Errorf("%w; %s", cause(err), hint(err))
	case !info.IsDir():
		return errors.New("not a folder; set SNIPPETS_DIR (snippets_dir) to the snippets folder of the storage")
	case info.Mode()&0o002 != 0 && info.Mode()&os.ModeSticky == 0:
		return fmt.Errorf("mode %04o: every user here can put user-data in, which VMs run as root; chmod o-w it, or mount it with dir_mode=0770 (cifs)",
			info.Mode().Perm())
	}
	if sub, err := os.Stat(filepath.Join(s.opts.Dir, "snippets")); err == nil && sub.IsDir() {
		return fmt.Errorf("has a folder snippets in it, so it is the storage's root; set SNIPPETS_DIR (snippets_dir) to %s",
			filepath.Join(s.opts.Dir, "snippets"))
	}
	return s.probe()
}

// probe goes through all that a snippet does, with a file that holds nothing.
func (s *Snippet) probe() error {
	f, err := os.CreateTemp(s.opts.Dir, ".mayfly-"+s.opts.Installation+"_"+probeName+snippetSuffix+".*"+temporarySuffix)
	if err != nil {
		return fmt.Errorf("not writable: %w; %s", cause(err), hint(err))
	}
	moved := strings.TrimSuffix(f.Name(), temporarySuffix) + "1" + temporarySuffix
	err = fillFile(f, "mayfly was here to see whether it can write\n")
	if err == nil {
		if err = os.Rename(f.Name(), moved); err == nil {
			err = syncDir(s.opts.Dir)
		}
	}
	gone := errors.Join(remove(f.Name()), remove(moved))
	switch {
	case err != nil:
		return fmt.Errorf("%w; %s", cause(err), hint(err))
	case gone != nil:
		return fmt.Errorf("files can't be removed again: %w; %s", cause(gone), hint(gone))
	}
	return nil
}

// probeName stands in for a runner's name, and isn't one, so that no runner's file is ever taken for a probe.
const probeName = "probe"

// CheckStorage looks at what Proxmox says of the storage.
func (s *Snippet) CheckStorage(st proxmox.Storage) error {
	where := fmt.Sprintf("snippet hand-off: storage %s", st.Name)
	switch {
	case st.Name != s.opts.Storage:
		return fmt.Errorf("%s: want %s", where, s.opts.Storage)
	case !slices.Contains(st.Content, "snippets"):
		return fmt.Errorf("%s: holds %s, not snippets; on a node: pvesm set %s --content %s", where,
			orNothing(st.Content), st.Name, strings.Join(append(slices.Clone(st.Content), "snippets"), ","))
	case !st.Enabled:
		return fmt.Errorf("%s: disabled; on a node: pvesm set %s --disable 0", where, st.Name)
	case !st.Active:
		return fmt.Errorf("%s: not active on the node; see Datacenter, Storage", where)
	}
	return nil
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ",")
}

// cloudInitVolume is how qemu-server knows a cloud-init drive (PVE/QemuServer/Drive.pm, drive_is_cloudinit).
var cloudInitVolume = regexp.MustCompile(`[:/](vm-[0-9]+-)?cloudinit(\.(raw|qcow2|qcow|qed|vmdk|cloop))?$`)

// CheckVM refuses a config, a template's or a VM's, in which Proxmox wouldn't use the snippet: it writes user-data into
// cloud-init drives only, and says nothing where there is none.
func (s *Snippet) CheckVM(config map[string]string) error {
	for key, value := range config {
		volume, _, _ := strings.Cut(value, ",")
		if isDrive(key) && cloudInitVolume.MatchString(volume) {
			return nil
		}
	}
	return fmt.Errorf("%w: the template has no cloud-init drive; on its node: qm set VMID --ide2 STORAGE:cloudinit", ErrImage)
}

// isDrive reports whether a config key is a bus that drives are on.
func isDrive(key string) bool {
	bus := strings.TrimRight(key, "0123456789")
	return bus != key && slices.Contains([]string{"ide", "sata", "scsi", "virtio"}, bus)
}

// withUser sets the user part of a cicustom property string (format pve-qm-cicustom: meta, network, user, vendor) and
// keeps the others.
func withUser(cicustom, volume string) string {
	parts := []string{"user=" + volume}
	for part := range strings.SplitSeq(cicustom, ",") {
		if key, _, _ := strings.Cut(part, "="); part != "" && key != "user" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ",")
}

// cause leaves out the path, which the caller has said.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
