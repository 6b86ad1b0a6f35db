#!/bin/sh
# Gives every clone an address: DHCP on whatever its card is called, asked for by the card's own address. By machine-id,
# which is the default, two clones could ask as one.
set -eu

# Nobody else sets the network up.
mkdir -p /etc/cloud/cloud.cfg.d
echo 'network: {config: disabled}' >/etc/cloud/cloud.cfg.d/90-mayfly-network.cfg

if command -v netplan >/dev/null; then
  # The installer's and cloud-init's name the card of the machine that they ran on.
  find /etc/netplan -name '*.yaml' ! -name 50-mayfly.yaml -delete
  cat >/etc/netplan/50-mayfly.yaml <<'END'
network:
  version: 2
  renderer: networkd
  ethernets:
    runner:
      match: {name: "en*"}
      dhcp4: true
      dhcp-identifier: mac
      optional: false
END
  chmod 0600 /etc/netplan/50-mayfly.yaml
  netplan generate
else
  cat >/etc/systemd/network/50-mayfly.network <<'END'
[Match]
Name=en*

[Network]
DHCP=ipv4

[DHCPv4]
ClientIdentifier=mac
END
fi
systemctl enable systemd-networkd.service

# ifupdown, of Debian's installer, would ask for a second lease.
if [ -e /etc/network/interfaces ] && grep -q '^[[:space:]]*iface[[:space:]][[:space:]]*en' /etc/network/interfaces; then
  printf 'auto lo\niface lo inet loopback\n' >/etc/network/interfaces
fi
if [ -x /lib/systemd/systemd-resolved ]; then
  systemctl enable systemd-resolved.service
  # In a container the file may be the host's, mounted there.
  ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf 2>/dev/null || echo '40-network.sh: /etc/resolv.conf is mounted here; left as it is' >&2
fi
