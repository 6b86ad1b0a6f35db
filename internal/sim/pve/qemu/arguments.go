package qemu

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

const qemuProgram = "qemu-system-x86_64"

// bootDrive is the machine's one disk.
const bootDrive = "disk0"

// agentPort is the name that qemu-guest-agent looks for.
const agentPort = "org.qemu.guest_agent.0"

// arguments are QEMU's for this machine.
func (m *machine) arguments() []string {
	im := m.e.opts.Image
	args := []string{
		"-name", "mayfly-" + strconv.Itoa(m.VMID),
		"-nodefaults", "-no-user-config", "-display", "none",
		// pc, as Proxmox's default; the cloud kernel has no driver for q35's disks anyway.
		"-machine", "pc",
		"-smp", "1", "-m", strconv.Itoa(im.MemoryMiB),
		"-drive", "if=none,id=" + bootDrive + ",format=qcow2,cache=unsafe,file=" + escape(m.e.disk(m.VMID)),
		"-device", "virtio-blk-pci,drive=" + bootDrive,
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=qga0,server=on,wait=off,path=" + escape(m.e.file(m.VMID, "qga")),
		"-device", "virtserialport,chardev=qga0,name=" + agentPort,
		"-chardev", "socket,id=qmp0,server=on,wait=off,path=" + escape(m.monitor.path),
		"-mon", "chardev=qmp0,mode=control",
		"-chardev", "file,id=console0,path=" + escape(m.e.file(m.VMID, "console")),
		"-serial", "chardev:console0",
		"-netdev", m.network(),
		"-device", m.card(),
	}
	args = append(args, acceleration(m.e.opts.Accel, im.TBMiB)...)
	if im.Initrd != "" {
		args = append(args, "-kernel", im.path(im.Kernel), "-initrd", im.path(im.Initrd), "-append", im.Append)
	}
	if m.CloudInit != nil { // as Proxmox's ide2; the cloud kernel reads IDE on pc only
		args = append(args, "-drive", "if=none,id=seed0,media=cdrom,format=raw,readonly=on,file="+escape(m.e.seed(m.VMID)),
			"-device", "ide-cd,drive=seed0,bus=ide.1")
	}
	args = append(args, m.drives()...)
	if m.Config["reboot"] == "0" { // Proxmox's option: a guest that reboots ends
		args = append(args, "-no-reboot")
	}
	return args
}

// acceleration: one thread for each processor, and no more translated code than the guest needs.
func acceleration(accel string, tbMiB int) []string {
	if accel == KVM {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	return []string{"-accel", fmt.Sprintf("tcg,thread=multi,tb-size=%d", tbMiB), "-cpu", "max"}
}

// network is a user network that reaches one service: each connection to it starts busybox's nc, which takes it to our
// forward. (QEMU's other form of guestfwd, to a socket, carries one connection in the machine's whole life.)
func (m *machine) network() string {
	if m.e.opts.Netdev != "" {
		return m.e.opts.Netdev
	}
	netdev := "user,id=net0,restrict=on"
	if m.forward != nil {
		host, port, _ := net.SplitHostPort(m.forward.addr())
		netdev += ",guestfwd=" + escape(fmt.Sprintf("tcp:%s:80-cmd:%s nc %s %s",
			guestGitHubHost, shellQuote(m.e.opts.Image.path(m.e.opts.Image.Busybox)), host, port))
	}
	return netdev
}

func (m *machine) card() string {
	card := "virtio-net-pci,netdev=net0,romfile="
	if m.MAC != "" {
		card += ",mac=" + m.MAC
	}
	return card
}

// agentEnabled reads the VM option "agent": "1", "enabled=1,…", "1,fstrim_cloned_disks=1".
func agentEnabled(option string) bool {
	for part := range strings.SplitSeq(option, ",") {
		if part == "1" || part == "enabled=1" {
			return true
		}
	}
	return false
}

// escape keeps a comma in a value from ending it (QEMU's option syntax).
func escape(value string) string { return strings.ReplaceAll(value, ",", ",,") }

// shellQuote makes one word of it for g_shell_parse_argv.
func shellQuote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
