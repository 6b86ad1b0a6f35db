#!/bin/sh
# Runs after the files are there. dpkg says "configure OLD" (OLD is empty at the first time), rpm the number of versions that
# are installed now.
set -u

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || exit 0

case "${1:-}:${2:-}" in
  configure: | 1:*)
    echo "mayfly: fill in /etc/mayfly/dispatcher.env, then: systemctl enable --now mayfly"
    ;;
  configure:* | [2-9]:* | [1-9][0-9]*:*)
    # Runners outlive a restart of the dispatcher; one that was stopped stays so.
    systemctl try-restart mayfly.service || echo "mayfly: not started again; see: systemctl status mayfly" >&2
    ;;
esac
exit 0
