#!/bin/sh
# provision.sh makes the Debian or Ubuntu that it runs in an image of a runner: root, in the VM that becomes the template
# (Packer, `mayfly image build`, or by hand) or in a container over its files. It runs the scripts of provision.d in their
# order and ends with the first that fails. Run again it changes nothing that is right already.
#
# Settings come from the environment, else from provision.env beside this file (NAME='value' lines), else they have the
# defaults that --help shows.
set -eu

settings='IMAGE_NAME IMAGE_VERSION RUNNER_VERSION RUNNER_SHA256 RUNNER_URL RUNNER_RELEASED RUNNER_USER RUNNER_SUDO
EXTRA_PACKAGES INSTALL_DOCKER SKIP_PACKAGES APT_PROXY http_proxy https_proxy no_proxy PASSWORD_LOGIN BOOT_TRICKS IDENTITY_DEADLINE'

say() { echo "provision.sh: $*"; }

die() {
  say "$*" >&2
  exit 1
}

usage() {
  cat <<'END'
usage: provision.sh [--help | --list]

  IMAGE_NAME         ubuntu-2204, ubuntu-2404, debian-12 (default: of /etc/os-release)
  IMAGE_VERSION      YYYYMMDD-HHMM (default: now, UTC)
  RUNNER_VERSION     release of actions/runner, for example 2.335.1; required
  RUNNER_SHA256      checksum of its linux-x64 archive; required
  RUNNER_URL         the archive (default: GitHub's release)
  RUNNER_RELEASED    YYYY-MM-DD of that release
  RUNNER_USER        who runs jobs (default: runner)
  RUNNER_SUDO        true: that user may use sudo without a password, as on GitHub's own runners (default: true)
  EXTRA_PACKAGES     more packages, separated by blanks
  INSTALL_DOCKER     true: docker, and the user may use it, which is as good as root (default: false)
  SKIP_PACKAGES      true: install none, they are there (default: false)
  APT_PROXY          proxy of apt while the image is made
  http_proxy, https_proxy, no_proxy   while the image is made, and for every job (/etc/environment)
  PASSWORD_LOGIN     true: leave password login on (default: false)
  BOOT_TRICKS        all, none or a list: docs/performance.md (default: all)
  IDENTITY_DEADLINE  a machine that no identity came to powers off after this, 1d, 90min or none (default: 1d)
END
}

# read_settings takes what the environment doesn't say from provision.env. It is a shell's file, so a shell reads it, in
# a process of its own, one setting at a time.
read_settings() {
  [ -r "$here/provision.env" ] || return 0
  for name in $settings; do
    if eval "[ -n \"\${$name+set}\" ]"; then continue; fi
    # shellcheck disable=SC1091 # it is made for each build
    value=$(. "$here/provision.env" >/dev/null && eval "printf '%s' \"\${$name-}\"") || die 'provision.env: it is no list of NAME=value lines'
    [ -z "$value" ] || eval "$name=\$value"
  done
}

# check_setting NAME FORM WORDS refuses what isn't of the form (of a case pattern, negated by the caller).
check_word() {
  eval "value=\${$1-}"
  case $value in
    *[!A-Za-z0-9._-]*) die "$1 '$value': want letters, digits, '.', '_' and '-'" ;;
  esac
}

check_switch() {
  eval "value=\${$1-}"
  case $value in
    '' | true | false) ;;
    *) die "$1 '$value': want true or false" ;;
  esac
}

check_settings() {
  for name in IMAGE_NAME IMAGE_VERSION RUNNER_VERSION RUNNER_RELEASED RUNNER_USER; do check_word "$name"; done
  for name in RUNNER_SUDO INSTALL_DOCKER SKIP_PACKAGES PASSWORD_LOGIN; do check_switch "$name"; done
  [ -n "${RUNNER_VERSION-}" ] || die 'RUNNER_VERSION: want a release of actions/runner, for example 2.335.1'
  case ${RUNNER_SHA256-} in
    *[!0-9a-fA-F]* | '') die "RUNNER_SHA256 '${RUNNER_SHA256-}': want the 64 hex digits that the release's page gives for linux-x64" ;;
  esac
  [ ${#RUNNER_SHA256} -eq 64 ] || die "RUNNER_SHA256 '$RUNNER_SHA256': want 64 hex digits, these are ${#RUNNER_SHA256}"
}

main() {
  here=$(cd "$(dirname "$0")" && pwd)
  case ${1-} in
    '') ;;
    --help | -h)
      usage
      exit 0
      ;;
    --list)
      ls "$here/provision.d"
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  [ "$(id -u)" = 0 ] || die 'this installs packages and services: run it as root'
  [ -r /etc/os-release ] || die 'no /etc/os-release: this is for Debian and Ubuntu'
  # shellcheck disable=SC1091
  system=$(. /etc/os-release && echo "$ID $VERSION_ID")
  case $system in
    'debian '* | 'ubuntu '*) ;;
    *) die "this is $system: want Debian or Ubuntu" ;;
  esac
  [ "$(dpkg --print-architecture)" = amd64 ] || die "this is $(dpkg --print-architecture): want amd64"

  read_settings
  check_settings
  IMAGE_NAME=${IMAGE_NAME:-$(echo "$system" | tr ' ' '-' | tr -d .)}
  IMAGE_VERSION=${IMAGE_VERSION:-$(date -u +%Y%m%d-%H%M)}
  RUNNER_URL=${RUNNER_URL:-https://github.com/actions/runner/releases/download/v$RUNNER_VERSION/actions-runner-linux-x64-$RUNNER_VERSION.tar.gz}
  RUNNER_USER=${RUNNER_USER:-runner} RUNNER_SUDO=${RUNNER_SUDO:-true} INSTALL_DOCKER=${INSTALL_DOCKER:-false}
  SKIP_PACKAGES=${SKIP_PACKAGES:-false} PASSWORD_LOGIN=${PASSWORD_LOGIN:-false}
  for name in $settings; do
    # A proxy that is set to nothing would still be one for some programs.
    if eval "[ -n \"\${$name-}\" ]"; then export "${name?}"; fi
  done
  # Other translations would change what the scripts read, and questions would wait for ever.
  export COMMON="$here" DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  umask 022

  say "$IMAGE_NAME $IMAGE_VERSION with runner $RUNNER_VERSION"
  for script in "$here"/provision.d/[0-9]*.sh; do
    name=$(basename "$script")
    began=$(date +%s)
    say "$name"
    sh "$script" || die "$name ended with $?; what it said is above"
    say "$name took $(($(date +%s) - began)) s"
  done
  say 'the image is ready: power off, and make it a template before it boots again'
}

main "$@"
