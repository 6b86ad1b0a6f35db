#!/bin/sh
# Empties what must not be the same in two clones, and what only building needed. The machine must not boot again before
# it is a template.
set -eu

# Each boot makes its own. Empty, not missing or "uninitialized": that would be a first boot, which enables every unit.
: >/etc/machine-id
if [ -d /var/lib/dbus ]; then ln -sf /etc/machine-id /var/lib/dbus/machine-id; fi
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
# Not its `clean`: that refuses while cloud-init runs these very scripts. A dangling "instance" is fine for it.
rm -rf /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/sem /var/lib/cloud/data /var/lib/cloud/seed
rm -rf /var/lib/dhcp/* /run/systemd/netif/leases/* /var/lib/NetworkManager/*
# The installer keeps its answers, a password's hash among them.
rm -rf /var/log/installer /autoinstall-user-data /root/.ssh/known_hosts /root/.bash_history /home/*/.bash_history
rm -f /etc/cloud/cloud.cfg.d/99-installer.cfg /etc/cloud/cloud.cfg.d/subiquity-disable-cloudinit-networking.cfg \
  /etc/cloud/cloud.cfg.d/90-installer-network.cfg /etc/cloud/ds-identify.cfg

rm -f /etc/apt/apt.conf.d/00mayfly-build
if [ "${SKIP_PACKAGES:-false}" != true ]; then
  apt-get -q clean
  rm -rf /var/lib/apt/lists/*
fi
rm -rf /var/tmp/cloud-init /tmp/.[!.]*-unix
find /var/log -type f -exec truncate -s 0 {} +
rm -rf /var/log/journal/*
# A hostname of the VM that this was built in would be every clone's until DHCP or cloud-init says another.
echo runner >/etc/hostname
[ -e /etc/hosts ] || printf '127.0.0.1\tlocalhost\n' >/etc/hosts
sed -i '/^127\.0\.1\.1[[:space:]]/d' /etc/hosts
printf '127.0.1.1\trunner\n' >>/etc/hosts
sync
# What was deleted needs no room in the template.
fstrim -a 2>/dev/null || :
