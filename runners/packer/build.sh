#!/bin/sh
# build.sh is what Packer runs in the VM, as root: the scripts of runners/common, which lie in /tmp/common, then it takes
# away what only the build needed, the user that Packer logs in as among it (BUILD_USER). With PASSWORD_LOGIN=true that
# user stays, and has its password.
set -eu

common=${COMMON_DIR:-/tmp/common}
releases=${RUNNER_RELEASES:-https://api.github.com/repos/actions/runner/releases}
root=${MAYFLY_ROOT-} # before the paths of files that go; for tests

say() { echo "build.sh: $*"; }

die() {
  say "$*" >&2
  exit 1
}

# latest_runner sets RUNNER_VERSION, RUNNER_SHA256 and RUNNER_RELEASED to what GitHub's API says of its latest release:
# https://docs.github.com/en/rest/releases/releases#get-the-latest-release, "digest" of the asset.
latest_runner() {
  answer=$(curl --fail --silent --show-error --location --retry 5 --retry-all-errors --connect-timeout 20 --max-time 120 \
    --header 'Accept: application/vnd.github+json' "$releases/latest") ||
    die "ask $releases/latest for the latest runner: see above; runner_version and runner_sha256 name one without asking"
  facts=$(printf '%s' "$answer" | python3 -c '
import json, re, sys
release = json.load(sys.stdin)
version = release["tag_name"].removeprefix("v")
name = f"actions-runner-linux-x64-{version}.tar.gz"
digest = [a.get("digest") or "" for a in release["assets"] if a["name"] == name]
found = len(digest) == 1 and re.fullmatch("sha256:([0-9a-f]{64})", digest[0])
if not found or not re.fullmatch("[0-9]+[.][0-9]+[.][0-9]+", version):
    sys.exit(f"release {version}: no checksum of {name}")
print(version, found[1], release["published_at"][:10])
') || die "read GitHub's latest runner: see above; runner_version and runner_sha256 name one without asking"
  # shellcheck disable=SC2086 # three words
  set -- $facts
  export RUNNER_VERSION="$1" RUNNER_SHA256="$2" RUNNER_RELEASED="$3"
  say "the latest runner is $RUNNER_VERSION of $RUNNER_RELEASED"
}

main() {
  [ -r "$common/provision.sh" ] || die "no $common/provision.sh: Packer's file provisioner puts it there"
  [ -n "${BUILD_USER-}" ] || die 'BUILD_USER: want the user that Packer logged in as'
  case ${RUNNER_VERSION:+version}${RUNNER_SHA256:+sum} in
    versionsum | '') ;;
    *) die 'runner_version and runner_sha256: set both, or neither for the latest release' ;;
  esac

  # The first boot is at work until then. Its complaints are no reason to stop: the scripts look for what they need.
  if command -v cloud-init >/dev/null; then timeout 600 cloud-init status --wait >/dev/null 2>&1 || :; fi

  if [ -z "${RUNNER_VERSION-}" ]; then latest_runner; fi
  sh "$common/provision.sh" || die 'the image was not made: see above'

  rm -f "$root/etc/sudoers.d/90-packer-build"
  if [ "${PASSWORD_LOGIN:-false}" != true ]; then
    # By force: it is logged in.
    userdel --force --remove "$BUILD_USER" 2>&1 || :
    if id "$BUILD_USER" >/dev/null 2>&1; then die "user $BUILD_USER is still there"; fi
    # These have the password's hash still.
    for file in passwd shadow group gshadow subuid subgid; do rm -f "$root/etc/$file-"; done
  fi
  rm -rf "$common" "$0"
  sync
  fstrim -a 2>/dev/null || :
  say 'done'
}

main "$@"
