package qemu

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// probePatience is what a kernel that boots under KVM needs a fraction of: emulated, its first line comes within 2 s.
const probePatience = 8 * time.Second

// ProbeAccel says what to run the image with. That /dev/kvm opens proves nothing (inside some virtual machines guests
// then hang), so KVM is it only when the image's own kernel says its first line under it.
func ProbeAccel(ctx context.Context, im Image) string {
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return TCG
	}
	_ = device.Close()
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	found := &finder{word: []byte("Linux version"), found: cancel}
	cmd := exec.CommandContext(ctx, qemuProgram, "-accel", "kvm", "-cpu", "host", "-machine", "pc", "-m", "256",
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", im.path(im.Kernel), "-append", "console=ttyS0 panic=-1")
	cmd.Stdout = found
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // see machine.live
	defer runtime.UnlockOSThread()
	_ = cmd.Run() // it always ends badly: killed, or in a panic for want of a disk
	if found.seen {
		return KVM
	}
	return TCG
}

// finder looks for a word in what is written to it, and calls found at the first.
type finder struct {
	word  []byte
	found func()
	seen  bool
	last  []byte
}

// Write implements [io.Writer]; it never fails.
func (f *finder) Write(p []byte) (int, error) {
	f.last = append(f.last, p...)
	if !f.seen && bytes.Contains(f.last, f.word) {
		f.seen = true
		f.found()
	}
	f.last = bytes.Clone(f.last[max(0, len(f.last)-len(f.word)):])
	return len(p), nil
}
