#!/bin/sh
# Run by cloud-init in the VM in which mayfly image build makes an image, as root, in the last stage of its first boot:
#
#   build.sh SEED
#
# SEED is the mounted cloud-init image with the provisioning scripts in common/. It runs common/provision.sh, keeps its
# last words in /run/mayfly-build/progress and its end in /run/mayfly-build/result.json, where the guest agent lets Mayfly
# read them, and powers off, whatever happens. It never returns to cloud-init after a success: cloud-init would write into
# the state that the scripts have just cleaned.
set -u

seed=${1:?usage: build.sh SEED}
root=${MAYFLY_ROOT:-}
state=$root/run/mayfly-build
work=$root/var/tmp/mayfly-build # not in /run, where scripts may not be executed and there is little room
linger=${MAYFLY_LINGER:-20}     # seconds in which Mayfly can read how it ended
tail_lines=30

publish() { # FILE: the end of the log, whole at any time
	tail -n "$tail_lines" "$state/log" >"$1.new" 2>/dev/null && mv -f "$1.new" "$1"
}

power_off() {
	sync
	if [ -n "$root" ]; then
		"$root/sbin/poweroff"
	else
		systemctl --no-block poweroff 2>/dev/null || poweroff -f
	fi
}

mkdir -p "$state" "$work"
chmod 0700 "$state" "$work"
: >"$state/log"

(
	while :; do
		publish "$state/progress"
		sleep 2
	done
) </dev/null >/dev/null 2>&1 &
follower=$!

code=0
cp -R "$seed/common" "$work/" 2>>"$state/log" || code=$?
if [ "$code" -eq 0 ]; then
	chmod -R u+rwx "$work/common" 2>>"$state/log"
	(cd "$work/common" && exec sh ./provision.sh) >>"$state/log" 2>&1 </dev/null || code=$?
fi
cd /
umount "$seed" 2>/dev/null
rm -rf "$work"
kill "$follower"
wait "$follower" 2>/dev/null
publish "$state/progress"
printf '{"exit_code":%d}\n' "$code" >"$state/result.json.new"
mv -f "$state/result.json.new" "$state/result.json"
[ "$code" -eq 0 ] || cat "$state/progress" >"$root/dev/console" 2>/dev/null

waited=0
while [ "$waited" -lt "$linger" ]; do
	sleep 1
	waited=$((waited + 1))
done
power_off
# Until the power goes, so that cloud-init doesn't go on.
if [ -z "$root" ]; then
	while :; do sleep 10; done
fi
