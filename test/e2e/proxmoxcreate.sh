#!/bin/sh
# proxmoxcreate.sh ROOT does to an unpacked Debian 12 what Proxmox VE does when it has made a container of a template, in its order
# (pve-container src/PVE/LXC/Setup/Base.pm, post_create_hook; Setup/Debian.pm; Setup.pm, rewrite_ssh_host_keys). It runs as the
# container's root. KEYS, CT_NAME, ADDRESS (with the network's size) and GATEWAY are what the container was created with.
set -eu
root=$1
umask 022

# clear_machine_id
rm -f "$root/etc/machine-id"
[ -L "$root/var/lib/dbus/machine-id" ] || rm -f "$root/var/lib/dbus/machine-id"

# randomize_crontab: minutes of root's jobs
for file in "$root"/etc/crontab "$root"/etc/cron.d/*; do
  [ -f "$file" ] && sed -i 's/^[0-9][0-9]*\( .* root .*\)$/17\1/' "$file"
done

# set_user_password without one, set_user_authorized_ssh_keys
sed -i 's/^root:[^:]*:/root:*:/' "$root/etc/shadow"
if [ -n "$KEYS" ]; then
  mkdir -p "$root/root/.ssh"
  chmod 0700 "$root/root/.ssh"
  printf '# --- BEGIN PVE ---\n%s\n# --- END PVE ---\n' "$KEYS" >"$root/root/.ssh/authorized_keys"
  chmod 0700 "$root/root/.ssh/authorized_keys"
fi

# setup_init: two consoles, and the preset of the first boot
sed -i 's:pts/%I:tty%I:g' "$root/lib/systemd/system/container-getty@.service"
mkdir -p "$root/etc/systemd/system/getty.target.wants" "$root/etc/systemd/system-preset"
for i in 1 2 3 4 5 6; do
  rm -f "$root/etc/systemd/system/getty.target.wants/getty@tty$i.service"
  [ $i -gt 2 ] || ln -sf /lib/systemd/system/container-getty@.service "$root/etc/systemd/system/getty.target.wants/container-getty@$i.service"
done
rm -f "$root/etc/systemd/system/getty.target"
cat >"$root/etc/systemd/system-preset/00-pve.preset" <<'EOF'
# Added by PVE at create-time for first-boot configuration.
enable container-getty@.service
disable getty@.service
disable sys-kernel-config.mount
disable sys-kernel-debug.mount
disable systemd-networkd.service
EOF

# setup_network, set_hostname, set_dns, set_timezone
cat >"$root/etc/network/interfaces" <<EOF
auto lo
iface lo inet loopback

auto eth0
iface eth0 inet static
	address $ADDRESS
	gateway $GATEWAY

EOF
echo "$CT_NAME" >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n%s %s\n' "${ADDRESS%/*}" "$CT_NAME" >"$root/etc/hosts"
rm -f "$root/etc/resolv.conf"
printf 'nameserver %s\n' "$GATEWAY" >"$root/etc/resolv.conf"
ln -sf /usr/share/zoneinfo/Etc/UTC "$root/etc/localtime"

# rewrite_ssh_host_keys
for type in rsa ecdsa ed25519; do
  rm -f "$root/etc/ssh/ssh_host_${type}_key" "$root/etc/ssh/ssh_host_${type}_key.pub"
  ssh-keygen -q -t "$type" -N '' -C "root@$CT_NAME" -f "$root/etc/ssh/ssh_host_${type}_key"
done
