package common_test

import (
	"strings"
	"testing"
)

// mount notes its call and tells of its mount in proc/mounts, as the kernel does; one whose type the sandbox hasn't got
// fails. swapoff does likewise with proc/swaps.
const (
	mount = `#!/bin/sh
umask 022
root=${0%/bin/mount}
[ ! -e "$root/no-$2" ] || { echo "mount: unknown filesystem type '$2'." >&2; exit 32; }
line=
for word; do
  last=${word#"$root"}
  line="$line $(echo "$word" | sed "s|$root||g")"
done
echo "${line# }" >>"$root/mounted"
case $2 in rbind) from=/dev/vda1 type=ext4 ;; *) from=mayfly type=$2 ;; esac
echo "$from $last $type rw 0 0" >>"$root/proc/mounts"
`
	swapoff = `#!/bin/sh
root=${0%/bin/swapoff}
[ ! -e "$root/no-swapoff" ] || { echo "swapoff: $1: Cannot allocate memory" >&2; exit 4; }
grep -v "^$1 " "$root/proc/swaps" >"$root/swaps.new"
cat "$root/swaps.new" >"$root/proc/swaps"
`
	swaps = `Filename				Type		Size		Used		Priority
/dev/zram0                              partition	1048576		0		100
/swap.img                               file		2097148		0		-2
`
)

// mounts gives the sandbox the means to mount.
func (b *sandbox) mounts() {
	b.write("bin/mount", mount, 0o755)
	b.write("bin/umount", "#!/bin/sh\n", 0o755)
	b.write("bin/swapoff", swapoff, 0o755)
}

const (
	// asides keep the way to the disk open before the overlay hides it; backs are that way.
	asides = `-o rbind /opt/actions-runner/_work /run/mayfly/folder/_work
-o rbind /opt/actions-runner/_diag /run/mayfly/folder/_diag
`
	cover = "-t overlay -o lowerdir=/opt/actions-runner,upperdir=/run/mayfly/folder/files,workdir=/run/mayfly/folder/scratch mayfly /opt/actions-runner\n"
	backs = `-o rbind /run/mayfly/folder/_work /opt/actions-runner/_work
-o rbind /run/mayfly/folder/_diag /opt/actions-runner/_diag
`
)

// TestRunnersFolderLiesInMemory is where GitHub's runner unpacks its identity: the listener must find the mounts there,
// made once however often the identity comes.
func TestRunnersFolderLiesInMemory(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.act(append([]string{`cp "$root/mounted" "$root/record/mounted"`}, waiting...)...)
		b.deliver()
		b.deliver()
		b.write("go", "", 0o644)
		b.untilOff()
		want := "-t tmpfs -o mode=755,nosuid,nodev mayfly /run/mayfly/folder\n" + asides + cover + backs
		if got := b.read("record/mounted"); got != want {
			t.Errorf("mounted before the listener:\n%swant:\n%s", got, want)
		}
		if b.read("mounted") != want {
			t.Errorf("mounted at the end:\n%s", b.read("mounted"))
		}
	})
}

func TestRunnersFolderThatIsInMemoryIsLeftAlone(t *testing.T) {
	for name, mounts := range map[string]string{
		"initramfs":     "rootfs / rootfs rw 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/vda /opt/actions-runner/_work ext4 rw 0 0\n",
		"tmpfs as root": "tmpfs / tmpfs rw 0 0\n",
		"its own tmpfs": "/dev/vda1 / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\ntmpfs /opt/actions-runner tmpfs rw 0 0\n/dev/vda1 /opt/actions ext4 rw 0 0\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newSandbox(t, []string{"/bin/sh"})
			b.write("proc/mounts", mounts, 0o644)
			b.deliver()
			b.untilOff()
			if got := b.read("mounted"); got != "" {
				t.Errorf("mounted:\n%s", got)
			}
		})
	}
}

func TestMountsOfADeliveryThatDiedAreFinished(t *testing.T) {
	b := newSandbox(t, []string{"/bin/sh"})
	b.write("proc/mounts", "/dev/vda1 / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\nmayfly /opt/actions-runner overlay rw 0 0\n"+
		"/dev/vda1 /opt/actions-runner/_work ext4 rw 0 0\n", 0o644)
	b.deliver()
	b.untilOff()
	if got, want := b.read("mounted"), "-o rbind /run/mayfly/folder/_diag /opt/actions-runner/_diag\n"; got != want {
		t.Errorf("mounted:\n%swant what was missing:\n%s", got, want)
	}
}

func TestSwapOnADiskIsTurnedOff(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.write("proc/swaps", swaps, 0o644)
		// Swap may come on late in the boot, after the delivery.
		b.systemd(`while [ "${1#--}" != "$1" ]; do shift; done
echo "/dev/sdb2 partition 1 0 -2" >>"$root/proc/swaps"
setsid --fork "$@" </dev/null >"$root/journal" 2>&1`)
		b.act(`cp "$root/proc/swaps" "$root/record/swaps"`)
		r := b.call(identity, "--jit", name)
		if r.code != 0 || r.out != "" || !strings.Contains(r.err, "swap on /swap.img is off") {
			t.Errorf("deliver: %+v, want 0 and that swap is off", r)
		}
		b.untilOff()
		got := b.read("record/swaps")
		if strings.Contains(got, "swap.img") || strings.Contains(got, "sdb2") || !strings.Contains(got, "zram0") {
			t.Errorf("the listener ran with this swap:\n%s", got)
		}
		if !strings.Contains(b.read("journal"), "swap on /dev/sdb2 is off") {
			t.Errorf("journal:\n%s", b.read("journal"))
		}
	})
}

// TestListenerDumpsNoCore: a core file holds what the process held in memory.
func TestListenerDumpsNoCore(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.act(`grep "^Max core file size" /proc/self/limits >"$root/record/limits"`)
		b.deliver()
		b.untilOff()
		if got := strings.Fields(b.read("record/limits")); len(got) < 5 || got[4] != "0" {
			t.Errorf("core limit of the listener: %q, want the soft one 0", got)
		}
	})
}
