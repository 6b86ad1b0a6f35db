#!/bin/sh
# Installs mayfly-deadline.timer: a machine whose dispatcher is gone before it gave it an identity powers off by itself
# (docs/run-once.md). IDENTITY_DEADLINE is when, in systemd's words ("1d", "90min"), counted from the boot; with "none"
# nothing is installed.
set -eu

deadline=${IDENTITY_DEADLINE:-1d}
units=/etc/systemd/system

if [ "$deadline" = none ]; then
  rm -f "$units/mayfly-deadline.service" "$units/mayfly-deadline.timer" "$units/timers.target.wants/mayfly-deadline.timer"
  exit 0
fi
case $deadline in
  [!0-9]* | *[!0-9a-z]*)
    echo "45-deadline.sh: IDENTITY_DEADLINE '$deadline': want a time such as 1d or 90min, or none" >&2
    exit 1
    ;;
esac

cat >"$units/mayfly-deadline.service" <<'END'
[Unit]
Description=Power-off of a machine that no runner identity came to

[Service]
Type=oneshot
ExecStart=/opt/actions-runner/run-once.sh --expire
END
cat >"$units/mayfly-deadline.timer" <<END
[Unit]
Description=Deadline of a machine that no runner identity came to

[Timer]
OnBootSec=$deadline
AccuracySec=5s

[Install]
WantedBy=timers.target
END
mkdir -p "$units/timers.target.wants"
# Not systemctl enable: no systemd runs where an image is made in a container.
ln -sf ../mayfly-deadline.timer "$units/timers.target.wants/mayfly-deadline.timer"
