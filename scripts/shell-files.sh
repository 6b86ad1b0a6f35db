#!/bin/sh
# shell-files.sh prints the shell scripts of this tree, one a line: *.sh, and other small files that start with a shell's #!.
set -eu

cd "$(dirname "$0")/.."
find . \( -name .git -o -name bin -o -name dist -o -name node_modules -o -name testdata \) -prune -o -type f -size -200k -print |
  while IFS= read -r file; do
    case $file in
      *.sh) echo "$file" ;;
      *.*/run | */run) if head -n 1 "$file" | grep -Eq '^#! ?/(usr/)?bin/(env )?(ba|da)?sh'; then echo "$file"; fi ;;
    esac
  done | sort
