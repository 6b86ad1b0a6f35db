#!/bin/sh
# release-stage.sh DIR puts the files of the packages that are the same on each architecture, and that nothing has to make, into
# DIR, with the modes that they get on the machine.
set -eu

cd "$(dirname "$0")/.."
dir=$1
umask 022

mkdir -p "$dir/doc/docs"
install -m 0644 dispatcher/mayfly.service "$dir/mayfly.service"
install -m 0600 dispatcher/dispatcher.env.example "$dir/dispatcher.env"
install -m 0644 dispatcher/dispatcher.env.example "$dir/doc/dispatcher.env.example"
# In the package its pages lie beside it, not above.
sed 's|(\.\./docs/|(docs/|g' dispatcher/README.md >"$dir/doc/README.md"
for page in docs/*.md; do
  install -m 0644 "$page" "$dir/doc/docs/${page##*/}"
done
