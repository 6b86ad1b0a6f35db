#!/bin/sh
# lint.sh GOFUMPT GOLANGCI_LINT (package@version each) runs every check, also after one failed, and ends with 1 if any did.
set -u

cd "$(dirname "$0")/.." || exit 1
gofumpt=$(scripts/tool.sh "$1") || exit 1
golangci_lint=$(scripts/tool.sh "$2") || exit 1
failed=0

check() {
  title=$1
  shift
  if "$@"; then
    echo "ok    $title"
  else
    echo "FAIL  $title"
    failed=1
  fi
}

# shellcheck disable=SC2317 # called through check
formatted() {
  files=$("$gofumpt" -l cmd internal scripts test) || return 1
  [ -z "$files" ] && return 0
  echo "not as gofumpt writes it (mend with: $gofumpt -w FILE):"
  echo "$files"
  return 1
}

# shellcheck disable=SC2317 # called through check
shell_checked() {
  # One path a line, none with a blank.
  # shellcheck disable=SC2046
  shellcheck $(scripts/shell-files.sh)
}

check gofumpt formatted
check 'go vet' go vet ./...
check 'go vet -tags e2e,crash,soak,bench,release' go vet -tags e2e,crash,soak,bench,release ./...
check golangci-lint "$golangci_lint" run ./...
check shellcheck shell_checked
check 'cloud-init schema' go test -tags schema -count=1 -run 'TestCloudInit|TestShell' ./test/packer
check 'go mod tidy -diff' go mod tidy -diff
check 'go mod verify' go mod verify
exit $failed
