#!/usr/bin/busybox sh
# shellcheck shell=dash
# bootinit.sh is process 1 of the floor: after the same boot loader, kernel and initrd it does the least that makes the
# guest ready, with a static busybox and nothing beside it: an address by DHCP, and the guest agent. udhcpc calls it, too.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

case ${1:-} in
  bound)
    # shellcheck disable=SC2154 # they come from udhcpc
    {
      busybox ip addr add "$ip/$mask" dev "$interface"
      busybox ip route add default via "$router"
      busybox mkdir -p /run/systemd/resolve
      echo "nameserver $dns" >/run/systemd/resolve/stub-resolv.conf
    }
    exit
    ;;
  ?*) [ $$ = 1 ] || exit 0 ;;
esac

busybox mount -o remount,rw /
for module in virtio_net virtio_console; do busybox modprobe "$module"; done
busybox ip link set lo up
(
  until set -- /sys/class/net/e* && [ -e "$1" ]; do busybox sleep 0.05; done
  card=${1##*/}
  busybox ip link set "$card" up
  busybox udhcpc -i "$card" -q -n -s /usr/local/sbin/boot-init
) >/dev/null 2>&1 &
while :; do
  for port in /sys/class/virtio-ports/*; do
    [ "$(busybox cat "$port/name" 2>/dev/null)" = org.qemu.guest_agent.0 ] || continue
    qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /run &
    wait $!
  done
  busybox sleep 0.05
done
