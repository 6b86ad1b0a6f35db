#!/bin/sh
# tool.sh PACKAGE@VERSION builds a Go tool at exactly that version, once, outside the checkout, and prints its path:
# ${XDG_CACHE_HOME:-~/.cache}/mayfly/tools/<name>-<version>-<go version>/<name>. The Go version is part of the name because
# golangci-lint refuses code for a newer Go than the one it was built with.
set -eu

package=${1%@*}
version=${1#*@}
name=$(basename "$package")
home=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/mayfly/tools
dir=$home/$name-$version-$(go env GOVERSION)

if [ ! -x "$dir/$name" ]; then
  mkdir -p "$dir"
  tmp=$(mktemp -d "$dir/.build.XXXXXX")
  trap 'rm -rf "$tmp"' EXIT
  echo "tool.sh: building $name $version (once; golangci-lint takes minutes)" >&2
  GOFLAGS='' GOBIN=$tmp go install -trimpath "$package@$version" >&2
  # A rename, so that a build that was cut short leaves nothing that looks whole.
  mv "$tmp/$name" "$dir/$name"
fi
echo "$dir/$name"
