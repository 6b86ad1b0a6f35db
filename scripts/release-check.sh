#!/bin/sh
# release-check.sh makes the release of HEAD twice, in two clones at different paths, and compares every byte. Go's cache is
# shared, and its entries don't depend on paths (-trimpath); CLEAN=1 gives the second one a cache of its own, which takes minutes.
set -eu

cd "$(dirname "$0")/.."
top=$(pwd)
if [ -n "$(git status --porcelain)" ]; then
  echo "release-check.sh: the checkout has changes that no commit has; they are not in what is compared" >&2
fi
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT

for copy in one a/longer/path; do
  mkdir -p "$tmp/$copy"
  git clone -q "$top" "$tmp/$copy"
  if [ "$copy" != one ] && [ -n "${CLEAN:-}" ]; then
    export GOCACHE="$tmp/cache"
  fi
  # Another umask and time zone each, as on other people's machines.
  (
    umask "$([ "$copy" = one ] && echo 022 || echo 077)"
    TZ=$([ "$copy" = one ] && echo UTC || echo Asia/Tokyo)
    export TZ
    make -C "$tmp/$copy" release >"$tmp/log" 2>&1
  ) || {
    tail -n 20 "$tmp/log" >&2
    exit 1
  }
done
if ! diff -r "$tmp/one/dist" "$tmp/a/longer/path/dist"; then
  echo "release-check.sh: two runs of make release differ" >&2
  exit 1
fi
echo "release-check.sh: twice the same bytes"
cat "$tmp/one/dist/SHA256SUMS"
