#!/bin/sh
# bootstock.sh before|after runs in the guest's root file system, before and after 60-boot.sh: it makes Debian's packages
# what Debian's images and installer make of them, and writes GRUB's menu out of /etc/default/grub, as update-grub does
# where there is a disk to look at.
set -eu

before() {
  echo runner >/etc/hostname
  : >/etc/machine-id
  echo 'LABEL=rootfs / ext4 rw,errors=remount-ro,x-systemd.growfs 0 1' >/etc/fstab
  useradd --uid 1001 --create-home --shell /bin/bash runner
  mkdir -p /opt/actions-runner/_work
  chown 1001:1001 /opt/actions-runner /opt/actions-runner/bin /opt/actions-runner/_work
  systemctl enable systemd-networkd.service >/dev/null 2>&1
  # What Debian's cloud image has for every card.
  mkdir -p /etc/netplan
  cat >/etc/netplan/90-default.yaml <<'END'
network:
  version: 2
  ethernets:
    all-en:
      match: { name: "en*" }
      dhcp4: true
      dhcp6: true
END
  chmod 600 /etc/netplan/90-default.yaml
  # A list of one source and None makes cloud-init run at every boot. Ubuntu's installer leaves [ None ], most guides for
  # Proxmox say this.
  echo 'datasource_list: [ NoCloud, None ]' >/etc/cloud/cloud.cfg.d/99-installer.cfg
  # /etc/default/grub as the package brings it, and the consoles of Debian's cloud image.
  mkdir -p /etc/default/grub.d
  cat >/etc/default/grub <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX=""
END
  echo 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"' >/etc/default/grub.d/10_cloud.cfg
}

after() {
  for f in /etc/default/grub /etc/default/grub.d/*.cfg; do
    # shellcheck disable=SC1090 # that is what update-grub does
    . "$f"
  done
  mkdir -p /boot/grub
  cat >/boot/grub/grub.cfg <<END
set timeout=${GRUB_TIMEOUT:-5}
terminal_output ${GRUB_TERMINAL:-console}
menuentry 'Debian GNU/Linux' {
  search --no-floppy --label --set=root rootfs
  linux /vmlinuz root=LABEL=rootfs ro ${GRUB_CMDLINE_LINUX:-} ${GRUB_CMDLINE_LINUX_DEFAULT:-}${INIT:-}
  initrd /initrd.img
}
END
  rm -rf /root/60-boot.sh /root/bootstock.sh /var/cache/apt/* /var/lib/apt/lists/*
  echo "initrd: $(stat -L -c %s /initrd.img) bytes"
}

"$1"
