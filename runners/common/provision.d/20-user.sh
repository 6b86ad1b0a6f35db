#!/bin/sh
# Makes the user that runs jobs.
set -eu

user=${RUNNER_USER:-runner}

if ! id -u "$user" >/dev/null 2>&1; then
  useradd --create-home --shell /bin/bash --user-group --comment 'GitHub Actions runner' "$user"
fi
[ "$(id -u "$user")" != 0 ] || { echo "20-user.sh: RUNNER_USER $user is root; name another" >&2; exit 1; }
# No password is right.
passwd --lock "$user" >/dev/null

# The cloud-init drive of other hand-offs holds the identity: not for jobs.
for group in cdrom disk; do
  if id -nG "$user" | tr ' ' '\n' | grep -qx "$group"; then gpasswd --delete "$user" "$group"; fi
done
if getent group docker >/dev/null; then
  if [ "${INSTALL_DOCKER:-false}" = true ]; then usermod --append --groups docker "$user"; fi
fi

rule=/etc/sudoers.d/90-mayfly-runner
if [ "${RUNNER_SUDO:-true}" = true ]; then
  printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\n' "$user" >"$rule.new"
  chmod 0440 "$rule.new"
  visudo -q -c -f "$rule.new"
  mv "$rule.new" "$rule"
else
  rm -f "$rule"
fi
