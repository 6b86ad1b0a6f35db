#!/bin/sh
# grow-root.sh grows the root file system to the end of its disk, which a pool's "disk" may have made larger than the
# template's (docs/configuration.md). mayfly-grow.service runs it at each boot; where there is nothing to grow it reads
# four numbers and ends. It is for a root file system on a partition of its own, the last of its disk: LVM, RAID and
# encrypted disks are left as they are.
set -u

root=${MAYFLY_ROOT:-} # before every path, for tests
# What a partition table and alignment leave free at the end of any disk is less: 64 MiB, in sectors of 512 bytes.
enough=131072

say() { echo "grow-root.sh: $*"; }

main() {
  device=$(readlink -f "$root/sys/dev/block/$(mountpoint -d /)") || device=
  if [ ! -r "$device/partition" ]; then
    say 'the root file system is on no partition; left as it is'
    exit 0
  fi
  disk=${device%/*}
  start=$(cat "$device/start")
  end=$((start + $(cat "$device/size")))
  for other in "$disk"/*/start; do
    if [ "$(cat "$other")" -gt "$start" ]; then
      say "${device##*/} isn't the last partition of ${disk##*/}; left as it is"
      exit 0
    fi
  done
  [ $(($(cat "$disk/size") - end)) -ge "$enough" ] || exit 0
  growpart "/dev/${disk##*/}" "$(cat "$device/partition")" || exit 1
  case $(findmnt -n -o FSTYPE /) in
    ext[234]) resize2fs "/dev/${device##*/}" ;;
    xfs) xfs_growfs / ;;
    btrfs) btrfs filesystem resize max / ;;
    *)
      say 'the root file system is of a kind that nothing here can grow' >&2
      exit 1
      ;;
  esac
}

main
