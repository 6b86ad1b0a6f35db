#!/bin/sh
# 60-boot.sh makes a runner image boot fast: from power-on to a guest agent that answers, a network, and a listener that
# can start. docs/performance.md says what each trick does, brings and costs, and has the figures.
#
# BOOT_TRICKS chooses: all (the default), none, or a list with commas of
#
#   agent      the guest agent starts once its device is there, not at the end of the boot
#   cloud-init cloud-init runs only where a drive with a seed is attached
#   network    the network counts as online when one card is, and nobody waits longer than a minute for it
#   initrd     the initial RAM disk holds a VM's drivers and nothing else, and looks for no other disk
#   grub       no menu
#   kernel     no words on the console, no check of the disk, no tests of the kernel's own ciphers
#   units      what a machine that lives for one job needs not: timers, consoles, logs on the disk
#   readahead  the runner's files are read into memory while nothing else has work
#   mitigations  (never by "all") no protection against other users of the same processor's caches
#
# Run again with another choice it undoes what is no longer chosen. It runs as root in the image, booted or not;
# MAYFLY_ROOT puts a folder before every path, for tests.
set -u

root=${MAYFLY_ROOT:-}
every='agent cloud-init network initrd grub kernel units readahead'
chosen=
on=      # whether the trick at hand is chosen
touched= # whether a file of the trick at hand has changed

say() { echo "60-boot.sh: $*"; }

main() {
  choose "${BOOT_TRICKS:-all}"
  trick agent agent
  trick cloud-init cloud_init
  trick network network
  trick units units
  trick readahead readahead
  trick initrd initrd
  [ -z "$touched" ] || rebuild_initrd
  trick grub grub
  menu=$touched
  trick kernel kernel
  menu=$menu$touched
  trick mitigations mitigations
  [ -z "$menu$touched" ] || rebuild_menu
}

# choose LIST sets chosen, a list with blanks at both ends.
choose() {
  for word in $(echo "$1" | tr ',' ' '); do
    case " $every mitigations all none " in
      *" $word "*) ;;
      *)
        say "BOOT_TRICKS: no trick '$word'; there are all, none, $every, mitigations" >&2
        exit 2
        ;;
    esac
    case $word in
      all) chosen="$chosen $every" ;;
      none) ;;
      *) chosen="$chosen $word" ;;
    esac
  done
  chosen=" $chosen "
}

# trick NAME FUNCTION
trick() {
  touched=
  on=
  case $chosen in *" $1 "*) on=yes ;; esac
  "$2"
  say "$1: ${on:-no}${touched:+, changed}"
}

# file PATH [MODE] is a file of the trick at hand, with the text on standard input: there when the trick is chosen, else
# not.
file() {
  path=$root$1
  if [ -z "$on" ]; then
    cat >/dev/null
    [ -e "$path" ] || return 0
    rm -f "$path" || exit 1
    rmdir "$(dirname "$path")" 2>/dev/null
    touched=yes
    return 0
  fi
  mkdir -p "$(dirname "$path")" || exit 1
  cat >"$path.new" || exit 1
  chmod "${2:-644}" "$path.new" || exit 1
  if cmp -s "$path.new" "$path"; then
    rm -f "$path.new"
  else
    mv "$path.new" "$path" || exit 1
    touched=yes
  fi
}

# link PATH TARGET is a link of the trick at hand.
link() {
  path=$root$1
  if [ "$(readlink "$path")" = "$2" ]; then
    [ -z "$on" ] || return 0
    rm -f "$path" || exit 1
    touched=yes
  elif [ -n "$on" ]; then
    mkdir -p "$(dirname "$path")" && rm -f "$path" && ln -s "$2" "$path" || exit 1
    touched=yes
  fi
}

# has_unit UNIT: some package brought it.
has_unit() { [ -e "$root/usr/lib/systemd/system/$1" ] || [ -e "$root/lib/systemd/system/$1" ]; }

# masked UNIT… are units that never start, where there are such.
masked() {
  for unit in "$@"; do
    [ -n "$on" ] && ! has_unit "$unit" && continue
    link "/etc/systemd/system/$unit" /dev/null
  done
}

# ---- the tricks

# The agent's unit waits for its device and, as every unit, for sysinit.target, which cloud-init's network stage holds
# up: half of a stock boot. It needs no more than a root file system that can be written to.
agent() {
  file /etc/systemd/system/qemu-guest-agent.service.d/50-mayfly-early.conf <<'END'
[Unit]
DefaultDependencies=no
After=systemd-remount-fs.service
RequiresMountsFor=/opt/actions-runner
Conflicts=shutdown.target
Before=shutdown.target
END
}

# cloud-init's own ds-identify decides at each boot, by the labels of drives (cidata, config-2) among others; whatever
# it finds starts cloud-init, and nothing found disables it for that boot. Lists of one source, or of one and None, which
# installers leave behind, make it start always: this file's name comes after theirs.
cloud_init() {
  file /etc/cloud/cloud.cfg.d/99-mayfly-seed.cfg <<'END'
datasource_list: [ NoCloud, ConfigDrive ]
END
  # An installer's way to keep cloud-init from running twice. It would keep a drive's seed from being read, too.
  [ -z "$on" ] || rm -f "$root/etc/cloud/cloud-init.disabled"
}

# What follows network-online.target (the listener) must not wait for a second card, nor two minutes for none.
network() {
  file /etc/systemd/system/systemd-networkd-wait-online.service.d/50-mayfly.conf <<'END'
[Service]
ExecStart=
ExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=60
END
}

# Proxmox's disks are on virtio, SCSI over virtio, SATA or IDE; its cloud-init drive is on IDE, SATA or SCSI. udev loads
# what the machine has. ds-identify runs before udev does in the real root, so the drive must be there by then.
initrd() {
  if [ -n "$on" ] && root_is_mapped; then
    say 'initrd: the root file system is on LVM, RAID or an encrypted disk; left as it is'
    on=
  fi
  file /etc/initramfs-tools/conf.d/zz-mayfly <<'END'
MODULES=list
RESUME=none
END
  file /etc/initramfs-tools/hooks/mayfly 755 <<'END'
#!/bin/sh
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules virtio_pci virtio_blk virtio_scsi virtio_console virtio_net sd_mod sr_mod ata_piix ahci isofs ext4 xfs crc32c_generic
END
}

# root_is_mapped: the drivers for it are more than this list knows.
root_is_mapped() {
  grep -Eq '^/dev/(mapper/|dm-|md)[^ ]* +/ |^/dev/(mapper/|dm-|md|disk/by-id/dm-)[^[:space:]]*[[:space:]]+/[[:space:]]' \
    "$root/proc/mounts" "$root/etc/fstab" 2>/dev/null
}

rebuild_initrd() {
  [ -x "$root/usr/sbin/update-initramfs" ] || return 0
  "$root/usr/sbin/update-initramfs" -u -k all || {
    say 'update-initramfs fails; the image would not boot' >&2
    exit 1
  }
}

# recordfail is Ubuntu's: half a minute of menu after a boot that didn't end well.
grub() {
  file /etc/default/grub.d/90-mayfly-grub.cfg <<'END'
GRUB_TIMEOUT=0
GRUB_TIMEOUT_STYLE=hidden
GRUB_RECORDFAIL_TIMEOUT=0
GRUB_TERMINAL=console
GRUB_DISABLE_OS_PROBER=true
GRUB_DISABLE_SUBMENU=true
END
}

# The disk is a fresh clone of one that was shut down in order.
kernel() {
  file /etc/default/grub.d/91-mayfly-kernel.cfg <<'END'
GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT rw quiet loglevel=3 fsck.mode=skip cryptomgr.notests"
END
  # With its check off, too, the root file system waits for no udev to name its disk.
  masked systemd-fsck-root.service
}

mitigations() {
  file /etc/default/grub.d/92-mayfly-mitigations.cfg <<'END'
GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT mitigations=off"
END
}

rebuild_menu() {
  [ -x "$root/usr/sbin/update-grub" ] && [ -e "$root/boot/grub/grub.cfg" ] || return 0
  "$root/usr/sbin/update-grub" || {
    say 'update-grub fails; the image would not boot' >&2
    exit 1
  }
}

units() {
  file /etc/systemd/journald.conf.d/50-mayfly.conf <<'END'
[Journal]
Storage=volatile
RuntimeMaxUse=64M
END
  link /etc/systemd/system/default.target /lib/systemd/system/multi-user.target
  # Upkeep of machines that live on. (50-services.sh has switched off what would disturb a job.)
  masked dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer logrotate.timer \
    ubuntu-advantage.service apport.service apport-autoreport.service whoopsie.service kerneloops.service \
    systemd-pstore.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    systemd-journal-flush.service pollinate.service snapd.seeded.service secureboot-db.service \
    grub-common.service grub-initrd-fallback.service
  # Hardware that a VM doesn't have.
  masked multipathd.service multipathd.socket ModemManager.service thermald.service udisks2.service \
    lvm2-monitor.service iscsid.socket open-iscsi.service plymouth-start.service plymouth-quit.service \
    plymouth-quit-wait.service plymouth-read-write.service keyboard-setup.service console-setup.service setvtrgb.service
  # Mounts that a job can make when it wants them.
  masked dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
    sys-fs-fuse-connections.mount
  # Nobody can log in at a console unless passwords are allowed.
  if [ "${PASSWORD_LOGIN:-false}" != true ]; then
    masked getty@tty1.service serial-getty@ttyS0.service getty-static.service
  fi
}

# .NET's listener is some hundred small files, and most jobs start node. A VM that waits for its identity has read them
# by then. Nothing waits for this, and anything else goes first.
readahead() {
  file /etc/systemd/system/mayfly-readahead.service <<'END'
[Unit]
Description=Read the runner's files into memory
After=network-online.target
ConditionMemory=>=900M

[Service]
Type=exec
CPUSchedulingPolicy=idle
IOSchedulingClass=idle
ExecStart=-/bin/sh -c 'cd /opt/actions-runner && exec timeout 60 cat bin/* externals/node2*/bin/node >/dev/null 2>&1'
END
  link /etc/systemd/system/multi-user.target.wants/mayfly-readahead.service /etc/systemd/system/mayfly-readahead.service
}

main
