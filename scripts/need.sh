#!/bin/sh
# need.sh NAME… makes sure that what the Makefile's targets use is there: commands by their own name, and
#   go    a Go that go.mod accepts (never installed by us: distributions' packages are too old)
#   cc    a C compiler with libc's headers, for the race detector
#   certs root certificates, for downloads over TLS
# What is missing is installed with apt where we are root or sudo asks for no password; elsewhere one line names the
# packages and the exit code is 1. Nothing is printed when nothing is missing.
set -eu

cd "$(dirname "$0")/.."

die() {
  echo "need.sh: $*" >&2
  exit 1
}

# check_go compares the Go in PATH with go.mod's "go" line.
check_go() {
  wanted=$(sed -n 's/^go //p' go.mod)
  if ! command -v go >/dev/null 2>&1; then
    if [ -x /usr/local/go/bin/go ]; then
      die "Go is in /usr/local/go/bin but not in PATH; run: export PATH=\$PATH:/usr/local/go/bin"
    fi
    die "Go $wanted or newer is needed and no go is in PATH; get it from https://go.dev/dl/"
  fi
  # From 1.21 on go fetches the version that go.mod asks for by itself, unless GOTOOLCHAIN forbids it.
  have=$(go env GOVERSION 2>/dev/null | sed 's/^go//; s/[^0-9.].*//')
  [ -n "$have" ] || have=$(GOTOOLCHAIN=local go version 2>/dev/null | sed 's/^go version go//; s/[^0-9.].*//')
  oldest=$(printf '%s\n%s\n' "$wanted" "${have:-0}" | sort -V | head -n 1)
  if [ "$oldest" != "$wanted" ]; then
    die "Go $wanted or newer is needed, $(command -v go) is ${have:-of unknown version}; get it from https://go.dev/dl/"
  fi
}

has_cc() {
  # CGO asks for $CC, else gcc.
  echo '#include <stdlib.h>' | ${CC:-gcc} -fsyntax-only -x c - 2>/dev/null
}

has_certs() {
  [ -n "${SSL_CERT_FILE:-}${SSL_CERT_DIR:-}" ] || [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki/tls/certs ]
}

# package_of names the Debian package that a command comes from.
package_of() {
  case $1 in
    ps) echo procps ;;
    /usr/bin/python3) echo python3 ;;
    qemu-system-x86_64) echo qemu-system-x86 ;;
    qemu-img) echo qemu-utils ;;
    dpkg-deb) echo dpkg ;;
    systemd-nspawn) echo systemd-container ;;
    systemd-analyze) echo systemd ;;
    lxc-start) echo lxc ;;
    ssh-keygen) echo openssh-client ;;
    *) echo "$1" ;;
  esac
}

packages=
for name in "$@"; do
  case $name in
    go) check_go ;;
    cc) has_cc || packages="$packages build-essential" ;;
    certs) has_certs || packages="$packages ca-certificates" ;;
    *) command -v "$name" >/dev/null 2>&1 || packages="$packages $(package_of "$name")" ;;
  esac
done
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  die "missing:$packages (Debian's names); install them with your package manager"
fi
if [ "$(id -u)" -eq 0 ]; then
  as_root='env'
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root='sudo -n env'
else
  die "missing:$packages; run: sudo apt-get install -y$packages"
fi

echo "need.sh: installing$packages"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  # $packages and $as_root are lists of words.
  # shellcheck disable=SC2086
  $as_root DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends \
    $packages </dev/null >"$log" 2>&1
}
# The lists of a fresh machine are empty or old: try, update, try again.
if ! install; then
  # shellcheck disable=SC2086
  $as_root apt-get -qq -o DPkg::Lock::Timeout=120 update </dev/null >"$log" 2>&1 || true
  if ! install; then
    tail -n 5 "$log" >&2
    die "apt-get could not install:$packages; install them and try again"
  fi
fi
