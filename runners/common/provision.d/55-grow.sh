#!/bin/sh
# Installs mayfly-grow.service: a clone whose disk is larger than the template's has the room before its job begins.
# cloud-init's growpart runs only where a seed is attached (60-boot.sh), so it can't be left to that.
set -eu

units=/etc/systemd/system

# The listener comes after network-online.target (run-once.sh), so what is before that is before the job.
cat >"$units/mayfly-grow.service" <<'UNIT'
[Unit]
Description=Grow the root file system to the end of its disk
DefaultDependencies=no
After=systemd-remount-fs.service
Before=network-online.target docker.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart=/opt/actions-runner/grow-root.sh
TimeoutStartSec=60

[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$units/multi-user.target.wants"
# Not systemctl enable: no systemd runs where an image is made in a container.
ln -sf ../mayfly-grow.service "$units/multi-user.target.wants/mayfly-grow.service"
