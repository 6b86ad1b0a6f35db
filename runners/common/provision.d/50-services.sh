#!/bin/sh
# Switches on what a runner needs, and off what would wake up in it.
set -eu

# The clock: GitHub refuses a runner that is minutes off.
if [ -e /lib/systemd/system/chrony.service ]; then
  systemctl enable chrony.service
elif [ -e /lib/systemd/system/systemd-timesyncd.service ]; then
  systemctl enable systemd-timesyncd.service
else
  echo '50-services.sh: nothing keeps the clock right: install systemd-timesyncd or chrony (EXTRA_PACKAGES)' >&2
  exit 1
fi
[ -e /lib/systemd/system/qemu-guest-agent.service ] || { echo '50-services.sh: there is no qemu-guest-agent' >&2; exit 1; }

# No upgrades, no timers: they would take apt's lock from a job, and change what was tested.
# The random seed: what one machine saves at its end must not begin another. In one call: each makes systemd read all units
# again.
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service unattended-upgrades.service \
  motd-news.timer update-notifier-download.timer update-notifier-motd.timer man-db.timer fwupd-refresh.timer \
  snapd.snap-repair.timer ua-timer.timer apt-news.service esm-cache.service systemd-random-seed.service swap.target 2>/dev/null
cat >/etc/apt/apt.conf.d/99mayfly <<'END'
APT::Periodic::Enable "0";
APT::Periodic::Update-Package-Lists "0";
APT::Periodic::Unattended-Upgrade "0";
DPkg::Lock::Timeout "120";
END

# A disk that memory is swapped out to would have the identity (run-once.sh turns swap off too).
sed -i '/^[^#].*[[:space:]]swap[[:space:]]/d' /etc/fstab
swapoff -a 2>/dev/null || :
rm -f /swap.img /swapfile

# Nobody logs in with a password.
if [ -d /etc/ssh ]; then
  mkdir -p /etc/ssh/sshd_config.d
  if [ "${PASSWORD_LOGIN:-false}" = true ]; then
    rm -f /etc/ssh/sshd_config.d/01-mayfly.conf
  else
    # First of its kind counts: before cloud-init's and the installer's.
    printf 'PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n' >/etc/ssh/sshd_config.d/01-mayfly.conf
  fi
fi
if [ "${PASSWORD_LOGIN:-false}" != true ]; then passwd --lock root >/dev/null; fi

# Where a clone boots with a seed (hand-offs iso and snippet), cloud-init does what that says and nothing of its own: no
# user of the vendor's, no locales to generate, no other package sources.
mkdir -p /etc/cloud/cloud.cfg.d
cat >/etc/cloud/cloud.cfg.d/90-mayfly.cfg <<END
users: []
locale: false
package_update: false
package_upgrade: false
apt: {preserve_sources_list: true}
ssh_pwauth: ${PASSWORD_LOGIN:-false}
END

# Host keys of its own for every clone, where there is an SSH server.
if [ -e /lib/systemd/system/ssh.service ]; then
  cat >/etc/systemd/system/mayfly-ssh-host-keys.service <<'END'
[Unit]
Description=SSH host keys of this machine alone
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service ssh.socket

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
END
  systemctl enable mayfly-ssh-host-keys.service
fi
