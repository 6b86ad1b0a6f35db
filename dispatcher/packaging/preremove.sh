#!/bin/sh
# Runs before the files go: dpkg says "remove" or "upgrade", rpm how many versions stay. An upgrade leaves the dispatcher
# running until the new version takes over.
set -u

[ -d /run/systemd/system ] || exit 0
case "${1:-}" in
  remove | 0) systemctl disable --now --no-reload mayfly.service || true ;;
esac
exit 0
