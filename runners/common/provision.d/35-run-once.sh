#!/bin/sh
# Installs run-once.sh and the job hooks beside GitHub's runner, and says what image this is.
set -eu

dir=/opt/actions-runner

for script in "$COMMON"/*.sh; do
  case ${script##*/} in provision.sh) continue ;; esac
  # Root's: the job's user must not change what its successor, or root, runs.
  install -o root -g root -m 0755 "$script" "$dir/"
done
version=$("$dir/run-once.sh" --version) # run-once N (contract N)
contract=$(expr "$version" : '.*(contract \([0-9]*\))$') || { echo "35-run-once.sh: run-once.sh says '$version', want its contract" >&2; exit 1; }

cat >"$dir/mayfly.json.new" <<END
{"image":"$IMAGE_NAME","version":"$IMAGE_VERSION","runner_version":"$RUNNER_VERSION","runner_released":"${RUNNER_RELEASED-}","contract":$contract,"built_at":"$(date -u +%Y-%m-%dT%H:%M:%SZ)"}
END
chmod 0644 "$dir/mayfly.json.new"
mv "$dir/mayfly.json.new" "$dir/mayfly.json"
echo "$IMAGE_NAME $IMAGE_VERSION" >/etc/mayfly-image

# What every job has in its environment. run-once.sh reads it.
touch /etc/environment
for name in http_proxy https_proxy no_proxy; do
  eval "value=\${$name-}"
  upper=$(echo "$name" | tr '[:lower:]' '[:upper:]')
  sed -i "/^$name=/d; /^$upper=/d" /etc/environment
  [ -z "$value" ] || printf '%s="%s"\n%s="%s"\n' "$name" "$value" "$upper" "$value" >>/etc/environment
done
