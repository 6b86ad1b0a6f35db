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

// Import implements [pve.DiskMaker]: the machine's disk becomes a copy of the image. A machine has one disk here, so a
// second image is refused.
func (e *Engine) Import(ctx context.Context, vmid int, drive string, image pve.Image) error {
	if e.has(vmid) {
		return fmt.Errorf("%s: this engine gives a VM one disk, and VM %d has it", drive, vmid)
	}
	var err error
	if image.Format == "qcow2" {
		err = copyFile(ctx, e.disk(vmid), image.Path)
	} else {
		err = qemuImg(ctx, "convert", "-q", "-f", image.Format, "-O", "qcow2", image.Path, e.disk(vmid))
	}
	if err != nil {
		return errors.Join(err, removeIfThere(e.disk(vmid)))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.disks[vmid] = true
	return nil
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
