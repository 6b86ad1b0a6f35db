package bootstrap

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Entry is a file, folder or symbolic link to add to a template.
type Entry struct {
	// Path is absolute in the container: "/usr/local/bin/mayfly".
	Path string
	// Mode holds the permissions; with [fs.ModeDir] the entry is a folder. Those of a link don't count.
	Mode fs.FileMode
	// UID and GID are the owners inside the container. Numbers, as names may differ.
	UID, GID int
	// Link makes the entry a symbolic link to this.
	Link string
	// Body is a file's content, of Size bytes, and is read once.
	Body io.Reader
	Size int64
}

// AddTo reads a container template (tar, compressed with zstd or gzip or not at all) from src and writes it to dst as
// tar.zst with entries added at its end. What the template holds stays byte for byte, headers too. Folders that lead to
// an entry are added where the template lacks them, root's and 0755. A folder that the template has already is left as it
// is. Neither archive is ever held in memory, and the same input gives the same output. src is read to its end, so that a
// checksum of it is whole afterwards.
//
// Proxmox unpacks with tar's --skip-old-files and takes only names that begin with "./" (pve-container
// src/PVE/LXC/Create.pm): of two entries with one name the first would win. So it is an error if the template has a file
// of an entry's name, and if something that isn't a folder is on the way to it, as a link could lead elsewhere.
//
// After an error dst holds a part of an archive, which is of no use.
func AddTo(ctx context.Context, dst io.Writer, src io.Reader, entries []Entry, modified time.Time) error {
	plain, err := decompress(src)
	if err != nil {
		return fmt.Errorf("read container template: %w", err)
	}
	defer plain.close()
	// One goroutine: several would cut the stream where the scheduler has them.
	packed, err := zstd.NewWriter(dst, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("write container template: %w", err)
	}
	a := &addition{modified: modified, have: map[string]byte{}}
	if err := a.plan(entries); err != nil {
		return errors.Join(err, packed.Close())
	}
	err = a.copy(ctx, packed, plain.r)
	if err == nil {
		_, err = io.Copy(io.Discard, inContext{ctx, plain.r}) // what pads the archive, and the checksum at its end
	}
	if err == nil {
		err = plain.rest()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("read container template: %w", err), packed.Close())
	}
	if err := a.write(ctx, packed); err != nil {
		return errors.Join(fmt.Errorf("write container template: %w", err), packed.Close())
	}
	if err := packed.Close(); err != nil {
		return fmt.Errorf("write container template: %w", err)
	}
	return nil
}

// addition is what one call of AddTo knows.
type addition struct {
	entries  []Entry // folders before what is in them
	modified time.Time
	// have are the types of those entries that the template has already, by path; 0 for one that it was not seen to have.
	have map[string]byte
}

// plan checks the entries and adds the folders that lead to them.
func (a *addition) plan(entries []Entry) error {
	given := map[string]bool{}
	for _, e := range entries {
		switch {
		case !strings.HasPrefix(e.Path, "/") || path.Clean(e.Path) != e.Path || e.Path == "/" || strings.ContainsRune(e.Path, 0):
			return fmt.Errorf("add %q to container template: not an absolute path without detours", e.Path)
		case given[e.Path]:
			return fmt.Errorf("add %s to container template: it was given twice", e.Path)
		case e.Mode.IsRegular() == (e.Body == nil) && e.Link == "":
			return fmt.Errorf("add %s to container template: a file needs a body, and nothing else has one", e.Path)
		case e.UID < 0 || e.UID > 65535 || e.GID < 0 || e.GID > 65535:
			return fmt.Errorf("add %s to container template: an unprivileged container has no owner %d:%d; use 0 to 65535", e.Path, e.UID, e.GID)
		}
		given[e.Path] = true
	}
	for _, e := range entries {
		for dir := path.Dir(e.Path); dir != "/" && !given[dir]; dir = path.Dir(dir) {
			given[dir] = true
			a.entries = append(a.entries, Entry{Path: dir, Mode: fs.ModeDir | 0o755})
		}
		a.entries = append(a.entries, e)
	}
	slices.SortStableFunc(a.entries, func(x, y Entry) int { return strings.Compare(x.Path, y.Path) })
	for _, e := range a.entries {
		a.have[e.Path] = 0
	}
	return nil
}

// copy passes the template on as it is, up to the end of its last entry.
func (a *addition) copy(ctx context.Context, dst io.Writer, src io.Reader) error {
	raw := &passing{src: inContext{ctx, src}, dst: dst}
	r := tar.NewReader(raw)
	for n := 0; ; n++ {
		at := raw.read
		raw.held, raw.holding = raw.held[:0], true
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return errors.New("it holds no files; is it a container template?")
			}
			pad := int(-at & (block - 1)) // what fills the last entry's block; the rest ends the archive
			_, err := dst.Write(raw.held[:min(pad, len(raw.held))])
			return err
		}
		if err != nil {
			return err
		}
		if err := a.meet(h); err != nil {
			return err
		}
		if err := raw.release(); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
	}
}

// meet notes an entry of the template that ours depend on.
func (a *addition) meet(h *tar.Header) error {
	name := path.Clean("/" + h.Name)
	if _, ours := a.have[name]; !ours {
		return nil
	}
	i := slices.IndexFunc(a.entries, func(e Entry) bool { return e.Path == name })
	if h.Typeflag != tar.TypeDir || !a.entries[i].Mode.IsDir() || a.entries[i].Link != "" {
		return fmt.Errorf("it has %s already, which would hide ours; use a plain template of Debian's", name)
	}
	a.have[name] = h.Typeflag
	return nil
}

// write adds the entries and ends the archive.
func (a *addition) write(ctx context.Context, dst io.Writer) error {
	w := tar.NewWriter(dst)
	for _, e := range a.entries {
		if a.have[e.Path] != 0 {
			continue
		}
		if err := w.WriteHeader(a.header(e)); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		if e.Body == nil || e.Link != "" || e.Mode.IsDir() {
			continue
		}
		n, err := io.Copy(w, inContext{ctx, e.Body})
		if err == nil && n != e.Size {
			err = fmt.Errorf("%d bytes, expected %d", n, e.Size)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return w.Close()
}

func (a *addition) header(e Entry) *tar.Header {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: "." + e.Path, Size: e.Size, Mode: int64(e.Mode.Perm()), Uid: e.UID, Gid: e.GID, ModTime: a.modified,
		Format: tar.FormatGNU, // long names without PAX records, which hold no owners that we don't set
	}
	switch {
	case e.Link != "":
		h.Typeflag, h.Linkname, h.Size, h.Mode = tar.TypeSymlink, e.Link, 0, 0o777
	case e.Mode.IsDir():
		h.Typeflag, h.Size = tar.TypeDir, 0
		h.Name += "/"
	}
	return h
}
