#!/bin/sh
# packages.sh makes sure that what builds and runs the guests' images is there: QEMU, mmdebstrap, GRUB, e2fsprogs,
# systemd-nspawn, all from Debian or Ubuntu. What is missing is installed with apt where we are root or sudo asks for no password; elsewhere one
# line names the packages and the exit code is 1. Nothing is printed when nothing is missing. `make e2e` and the image
# builder itself call it.
set -eu

PATH=$PATH:/usr/sbin:/sbin
missing=

# need PACKAGE FILE-OR-COMMAND
need() {
  case $2 in
    /*) [ -e "$2" ] || missing="$missing $1" ;;
    *) command -v "$2" >/dev/null 2>&1 || missing="$missing $1" ;;
  esac
}

need qemu-system-x86 qemu-system-x86_64
need qemu-utils qemu-img
need mmdebstrap mmdebstrap
need debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg
need grub-common grub-mkimage
need grub-pc-bin /usr/lib/grub/i386-pc/boot.img
need fdisk sfdisk
need e2fsprogs mke2fs
need systemd-container systemd-nspawn
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "packages.sh: missing:$missing (Debian's names); install them with your package manager" >&2
  exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
  as_root='env'
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root='sudo -n env'
else
  echo "packages.sh: missing:$missing; run: sudo apt-get install -y --no-install-recommends$missing" >&2
  exit 1
fi

echo "packages.sh: installing$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  # $missing and $as_root are lists of words.
  # shellcheck disable=SC2086
  $as_root DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends \
    $missing </dev/null >"$log" 2>&1
}
# The lists of a fresh machine are empty or old: try, update, try again.
if ! install; then
  # shellcheck disable=SC2086
  $as_root apt-get -qq -o DPkg::Lock::Timeout=120 update </dev/null >"$log" 2>&1 || true
  if ! install; then
    tail -n 5 "$log" >&2
    echo "packages.sh: apt-get could not install:$missing; install them and try again" >&2
    exit 1
  fi
fi
