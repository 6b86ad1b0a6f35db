#!/bin/sh
# Installs Docker where INSTALL_DOCKER is true. Without it jobs have no container:, services: or container actions.
set -eu

[ "${INSTALL_DOCKER:-false}" = true ] || exit 0
if [ "${SKIP_PACKAGES:-false}" = true ]; then
  command -v dockerd >/dev/null || { echo '15-docker.sh: INSTALL_DOCKER and SKIP_PACKAGES are true, but there is no dockerd' >&2; exit 1; }
  exit 0
fi
packages=docker.io
# Debian 12 has neither.
for p in docker-buildx docker-compose-v2; do
  if apt-cache show "$p" >/dev/null 2>&1; then packages="$packages $p"; fi
done
# shellcheck disable=SC2086 # a list of words
apt-get -q -y install $packages
systemctl enable docker.service
