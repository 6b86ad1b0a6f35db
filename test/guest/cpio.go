package main

import (
	"bytes"
	"fmt"
	"io/fs"
)

// archive writes an initramfs: cpio, "newc" (Linux Documentation/driver-api/early-userspace/buffer-format.rst). It is
// not compressed: unpacking costs an emulated processor more than the host takes to copy it.
type archive struct {
	buf   bytes.Buffer
	inode int
	made  map[string]bool
}

// Bits of st_mode.
const (
	modeDir     = 0o040000
	modeChar    = 0o020000
	modeRegular = 0o100000
	modeLink    = 0o120000
)

func (a *archive) entry(name string, mode, uid, major, minor int, data []byte) {
	if a.made == nil {
		a.made = map[string]bool{}
	}
	a.made[name] = true
	a.inode++
	// magic ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
	fmt.Fprintf(&a.buf, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.inode, mode, uid, uid, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
	a.buf.WriteString(name)
	a.buf.WriteByte(0)
	a.pad()
	a.buf.Write(data)
	a.pad()
}

// pad fills up to a multiple of four.
func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}

// dir makes a folder and those above it.
func (a *archive) dir(name string, uid int) {
	for i := 1; i < len(name); i++ {
		if name[i] == '/' && !a.made[name[:i]] {
			a.entry(name[:i], modeDir|0o755, 0, 0, 0, nil)
		}
	}
	if !a.made[name] {
		a.entry(name, modeDir|0o755, uid, 0, 0, nil)
	}
}

// file makes a file, and the folders above it.
func (a *archive) file(name string, perm fs.FileMode, uid int, data []byte) {
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '/' {
			a.dir(name[:i], 0)
			break
		}
	}
	a.entry(name, modeRegular|int(perm), uid, 0, 0, data)
}

func (a *archive) symlink(name, target string) {
	a.entry(name, modeLink|0o777, 0, 0, 0, []byte(target))
}

func (a *archive) char(name string, major, minor int) {
	a.entry(name, modeChar|0o600, 0, major, minor, nil)
}

// bytes ends the archive.
func (a *archive) bytes() []byte {
	a.entry("TRAILER!!!", 0, 0, 0, 0, nil)
	return a.buf.Bytes()
}
