#!/bin/sh
# Installs what jobs and run-once.sh need.
set -eu

# Of build tools what C++ CI expects; jq is for the job hook too, xz and zstd for caches, rsync for artifacts.
packages='ca-certificates curl git build-essential python3 python3-venv cmake ninja-build ccache pkg-config unzip zip xz-utils
zstd jq rsync sudo iproute2 qemu-guest-agent cloud-init cloud-guest-utils'

# Names of the same thing differ: Ubuntu's systemd holds what Debian has as packages of their own.
optional='systemd-resolved systemd-timesyncd'

sources=/etc/apt/apt.conf.d/00mayfly-build

missing() {
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
  done
}

# shellcheck disable=SC2086 # lists of words
if [ "${SKIP_PACKAGES:-false}" = true ]; then
  absent=$(missing $packages ${EXTRA_PACKAGES-} | tr '\n' ' ')
  [ -z "$absent" ] || { echo "10-packages.sh: SKIP_PACKAGES is true, but these are not installed: $absent" >&2; exit 1; }
  exit 0
fi

# apt's own timers would hold its lock, now and whenever a runner boots.
systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service unattended-upgrades.service 2>/dev/null || :

{
  echo 'Acquire::Retries "5";'
  echo 'DPkg::Lock::Timeout "300";'
  echo 'APT::Install-Recommends "false";'
  [ -z "${APT_PROXY-}" ] || echo "Acquire::http::Proxy \"$APT_PROXY\";"
} >"$sources" # 90-clean.sh removes it

apt-get -q update
for p in $optional; do
  if apt-cache show "$p" >/dev/null 2>&1; then packages="$packages $p"; fi
done
# shellcheck disable=SC2086
apt-get -q -y -o Dpkg::Options::=--force-confold install $packages ${EXTRA_PACKAGES-}
# Never again by itself: a runner's life is minutes.
apt-get -q -y purge unattended-upgrades 2>/dev/null || :
