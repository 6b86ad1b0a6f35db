#!/bin/sh
# Installs GitHub's runner in /opt/actions-runner: the release named, with the checksum given, and no registration.
set -eu

dir=/opt/actions-runner
user=${RUNNER_USER:-runner}
group=$(id -gn "$user")
note=$dir/.archive-sha256 # of the archive that is unpacked there

if [ "$(cat "$note" 2>/dev/null)" = "$RUNNER_SHA256" ]; then
  echo "30-runner.sh: runner $RUNNER_VERSION is there already"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# -C -: a download that broke goes on where it was.
curl --fail --silent --show-error --location --retry 5 --retry-all-errors --connect-timeout 20 -C - \
  --output "$work/runner.tar.gz" "$RUNNER_URL" || { echo "30-runner.sh: download $RUNNER_URL: see above; RUNNER_URL may name another place" >&2; exit 1; }
got=$(sha256sum "$work/runner.tar.gz" | cut -d ' ' -f 1)
if [ "$got" != "$(echo "$RUNNER_SHA256" | tr A-F a-f)" ]; then
  echo "30-runner.sh: $RUNNER_URL has the SHA-256 $got, want $RUNNER_SHA256: it is not what its publisher published" >&2
  exit 1
fi

rm -rf "$dir"
install -d -o "$user" -g "$group" -m 0755 "$dir"
tar -xzf "$work/runner.tar.gz" -C "$dir" --no-same-owner
chown -R "$user:$group" "$dir"
if [ ! -x "$dir/bin/Runner.Listener" ] || [ ! -x "$dir/config.sh" ]; then
  echo "30-runner.sh: $RUNNER_URL holds no runner" >&2
  exit 1
fi

if [ "${SKIP_PACKAGES:-false}" != true ] && [ -x "$dir/bin/installdependencies.sh" ]; then
  "$dir/bin/installdependencies.sh"
fi

as_user() { (cd "$dir" && setpriv --reuid "$user" --regid "$group" --init-groups env HOME="/home/$user" "$@"); }

said=$(as_user bin/Runner.Listener --version)
[ "$said" = "$RUNNER_VERSION" ] || { echo "30-runner.sh: the runner says that it is $said, want $RUNNER_VERSION" >&2; exit 1; }
# Compiles its .NET code now instead of at every boot. A release that can't is only slower.
as_user bin/Runner.Listener --warmup </dev/null >"$work/warmup.log" 2>&1 ||
  { echo '30-runner.sh: the runner could not warm up:' >&2; tail -n 5 "$work/warmup.log" >&2; }
# Which must not have left anything that looks like a registration.
rm -rf "$dir/_diag" "$dir/.runner" "$dir/.credentials" "$dir/.credentials_rsaparams"
echo "$RUNNER_VERSION" >"$dir/runner-version"
echo "$RUNNER_SHA256" >"$note"
