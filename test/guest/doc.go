// Package main builds the guests that the e2e tests and `mayfly demo --qemu` boot, from Debian's packages and nothing else:
//
//	go run ./test/guest [tiny] [systemd] [cloudinit] [container] [vendor]
//
// prints the folder of each image, one a line, and builds what isn't there yet (a minute). "tiny" is an initramfs with
// busybox and the real QEMU guest agent, up in seconds; "systemd" is a Debian that boots from its own disk, and
// "cloudinit" the same with Debian's cloud-init, which costs an emulated processor half a minute more; "container" is
// the systemd guest without a kernel, as a tar for systemd-nspawn. All these hold run-once.sh
// and, in the place of GitHub's runner, the stand-in sim/listener. "vendor" stands for a vendor's cloud image that nobody
// has provisioned: the packages and an archive of the stand-in are in it, no runner.
//
// Names that start with "boot-" are the guests that test/boot compares, and built only when they are asked for.
//
// Images are kept outside the checkout, in ${XDG_CACHE_HOME:-~/.cache}/mayfly/guest/<name>-<hash>, where the hash is of
// everything that goes in: this program, run-once.sh, the listener. The invariant: a folder of that name is whole; it
// was written under another name and renamed. It needs root (or sudo that asks for nothing) for the files' owners.
package main
