package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

// disk is the file of a machine's disk. That of a template stays as long as there are overlays of it, whatever became of
// the template: LVM-thin's clones don't need their template either.
type disk struct {
	path     string
	base     *disk // what it is an overlay of; nil for none, and for the engine's own image
	overlays int
	gone     bool // its machine is destroyed
}

// Clone implements [pve.Engine]: an overlay, or with full a copy.
func (e *Engine) Clone(ctx context.Context, template, vmid int, full bool, log func(string)) error {
	d := e.newDisk(vmid)
	e.mu.Lock()
	d.base = e.disks[template] // a template that was itself made or cloned passes its own disk on
	e.mu.Unlock()
	base := e.opts.Image.path(e.opts.Image.Disk)
	if d.base != nil {
		base = d.base.path
	}
	args := []string{"create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, d.path}
	if full {
		args, d.base = []string{"convert", "-q", "-O", "qcow2", base, d.path}, nil
	}
	log(fmt.Sprintf("create full clone: %v of drive virtio0", full))
	if err := qemuImg(ctx, args...); err != nil {
		return errors.Join(err, removeIfThere(d.path))
	}
	e.keep(vmid, d)
	return nil
}

// Import implements [pve.DiskMaker]: the machine's disk becomes a copy of the image. A machine has one disk here, so a
// second image is refused.
func (e *Engine) Import(ctx context.Context, vmid int, drive string, image pve.Image) error {
	if e.has(vmid) {
		return fmt.Errorf("%s: this engine gives a VM one disk, and VM %d has it", drive, vmid)
	}
	d := e.newDisk(vmid)
	var err error
	if image.Format == "qcow2" {
		err = copyFile(ctx, d.path, image.Path)
	} else {
		err = qemuImg(ctx, "convert", "-q", "-f", image.Format, "-O", "qcow2", image.Path, d.path)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(d.path))
	}
	e.keep(vmid, d)
	return nil
}

// newDisk names a VM's disk: under another name where an earlier VM of that VMID has left one with overlays.
func (e *Engine) newDisk(vmid int) *disk {
	d := &disk{path: e.file(vmid, "qcow2")}
	for n := 1; ; n++ {
		if _, err := os.Lstat(d.path); err != nil {
			return d
		}
		d.path = e.file(vmid, strconv.Itoa(n)+".qcow2")
	}
}

func (e *Engine) keep(vmid int, d *disk) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.disks[vmid] = d
	if d.base != nil {
		d.base.overlays++
	}
}

// dropDisk removes a VM's disk, and those below it that nobody needs any more.
func (e *Engine) dropDisk(vmid int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.disks[vmid]
	delete(e.disks, vmid)
	if d != nil {
		d.gone = true
	}
	for d != nil && d.gone && d.overlays == 0 {
		if err := removeIfThere(d.path); err != nil {
			return err
		}
		if d = d.base; d != nil {
			d.overlays--
		}
	}
	return nil
}

// disk is the file of a VM's disk, "" when it has none.
func (e *Engine) disk(vmid int) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.disks[vmid]; d != nil {
		return d.path
	}
	return ""
}

// Resize implements [pve.DiskMaker]. Of a machine that still boots the engine's own image there is nothing to resize: the
// size that Proxmox would show is not its disk's.
func (e *Engine) Resize(ctx context.Context, vmid int, drive string, size runner.Bytes) error {
	if !e.has(vmid) {
		return nil
	}
	if m := e.machine(vmid); m != nil {
		if err := m.monitor.execute("block_resize", map[string]any{"device": bootDrive, "size": int64(size)}); err != nil {
			return fmt.Errorf("resize %s of VM %d: %w", drive, vmid, err)
		}
		return nil
	}
	if err := qemuImg(ctx, "resize", "-q", "-f", "qcow2", e.disk(vmid), strconv.FormatInt(int64(size), 10)); err != nil {
		return fmt.Errorf("resize %s of VM %d: %w", drive, vmid, err)
	}
	return nil
}

// qemuImg runs a command of qemu-img.
func qemuImg(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "qemu-img", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("qemu-img: %w: %s", errors.Join(ctx.Err(), err), firstLine(out))
	}
	return nil
}

// copyFile copies a file, which nobody else may read then.
func copyFile(ctx context.Context, to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy image: %w", err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("copy image: %w", err)
	}
	for err == nil && ctx.Err() == nil { // in pieces, so that a task that is stopped ends
		_, err = io.CopyN(out, in, 64<<20)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, ctx.Err(), out.Close()); err != nil {
		return fmt.Errorf("copy image: %w", err)
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
