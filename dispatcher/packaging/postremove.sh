#!/bin/sh
# Runs after the files are gone. Only dpkg's "purge" takes away what the dispatcher and its administrator wrote: state, the
# configuration beside the packaged file, and secrets of ours among systemd's.
set -u

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
if [ "${1:-}" = purge ]; then
  # Of a DynamicUser= the first is a link to the second.
  rm -rf /var/lib/mayfly /var/lib/private/mayfly /etc/mayfly /etc/systemd/system/mayfly.service.d
  rm -f /etc/credstore/mayfly.* /etc/credstore.encrypted/mayfly.*
fi
exit 0
