#!/bin/sh
# fuzz.sh DURATION runs every fuzz target of the tree for that long, one after the other (go test -fuzz takes one at a time).
set -eu

cd "$(dirname "$0")/.."
grep -rlE '^func Fuzz' --include='*_test.go' cmd internal test | sort | while IFS= read -r file; do
  sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while IFS= read -r target; do
    echo "== $target in $(dirname "$file")"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "./$(dirname "$file")" </dev/null
  done
done
