#!/bin/sh
# run-once.sh makes a booted VM a GitHub Actions runner for one job, then powers the VM off. The dispatcher's half of
# the contract is in docs/run-once.md, which says what every argument, exit code and file here means.
#
# The identity (JIT configuration or registration token) comes on standard input and lives in /run/mayfly, in memory,
# until a job has started: it is never an argument, never in a log and never on a disk. What GitHub's runner makes of it
# in its own folder is in memory too.
#
# It runs in any POSIX shell (dash, busybox ash, bash). MAYFLY_ROOT puts a folder before every path, for tests: then
# nothing outside that folder is touched, and the machine is not powered off.
set -u
umask 077
# A core file of the listener would hold the identity. Jobs may still ask for theirs.
# shellcheck disable=SC3045 # dash, busybox ash and bash have it
ulimit -S -c 0 2>/dev/null

release='run-once 2 (contract 2)'
contract=2

# A job waits for its listener at most this long before the VM gives up: GitHub itself forgets an ephemeral runner that
# never connected after a day.
default_max_wait=86400
# A job may take 5 days on a self-hosted runner (GitHub's limit); with the day of waiting that is all of a VM's life.
default_max_life=518400
# GitHub may lose the end of a job whose VM goes at once (actions/runner#4309), and the dispatcher reads the result.
default_linger=20
# Listener codes 2, 3 and 4 (retryable, updating) ask for another start after 5 s (actions/runner run-helper.sh).
retry_delay=5
max_starts=10
# How often deadlines are looked at, and how long a listener has to end by itself before it is killed.
tick=5
grace=30
# How long a machine that is shut down waits for its listener to tell GitHub that the job is cancelled.
farewell=40
# After the end of all deadlines, what keeps them is no longer trusted: whoever watches that powers off.
reserve=300
# How long a delivery waits for another one that still lives, but may hang.
lock_patience=120
# How long a hand-over may take to begin, where nothing has to be waited for.
begin_by=60
# What the OOM killer thinks of us and of the listener. GitHub's runner puts its jobs' processes at 500
# (ProcessInvoker.cs), so those go first.
own_oom=-900
listener_oom=-500
# How much of the listener's output is kept on the disk.
kept_bytes=1048576
# What --probe looks up, and for how many seconds. The dot at the end keeps the search list out.
dns_name=github.com.
dns_patience=2

root=${MAYFLY_ROOT:-}
runner_dir=$root/opt/actions-runner
run=$root/run/mayfly
self=$runner_dir/run-once.sh
# The job-started hook and what it goes by, which it reads as the runner's user: not in $run.
hook=$runner_dir/job-started.sh
policy=$root/run/mayfly-policy
log=$run/listener.log
# The guest agent's own PATH may lack the sbin folders.
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

say() { echo "run-once.sh: $*"; }

# tool COMMAND… runs a program that tests have one of their own for; busybox's shell would take its own otherwise.
tool() {
  program=$1
  shift
  if [ -n "$root" ]; then "$root/bin/$program" "$@"; else "$program" "$@"; fi
}

nap() { tool sleep "$1"; }

# die CODE WORDS…
die() {
  code=$1
  shift
  say "$*" >&2
  exit "$code"
}

usage() {
  cat <<'END'
usage: run-once.sh [OPTION…] --jit NAME                  JIT configuration on stdin
       run-once.sh [OPTION…] --token URL LABELS NAME     registration token on stdin
       run-once.sh [OPTION…] URL TOKEN LABELS NAME       older call, as the runner's user, in the foreground
       run-once.sh --probe | --expire | --version | --help
options: --user USER (RUNNER_USER, runner)   --linger SECONDS (20)
         --max-wait SECONDS (86400)          --max-life SECONDS (518400)
         --pool NAME                         --repository OWNER/REPO[,...]   (which jobs job-started.sh lets run;
         --events EVENT[,...]                --forks allow|deny               what is absent or empty allows all)
END
}

main() {
  user=${RUNNER_USER:-runner}
  linger=$default_linger
  max_wait=$default_max_wait
  max_life=$default_max_life
  pool='' repositories='' events='' forks=allow
  while [ $# -gt 0 ]; do
    case $1 in
      --user | --linger | --max-wait | --max-life | --pool | --repository | --events | --forks)
        [ $# -ge 2 ] || die 2 "$1: want a value"
        set_option "$1" "$2"
        shift 2
        ;;
      *) break ;;
    esac
  done
  check_word user "$user"
  [ $# -gt 0 ] || { usage >&2; exit 2; }

  case $1 in
    --version) echo "$release" ;;
    --help | -h) usage ;;
    --probe) probe ;;
    --jit)
      [ $# -eq 2 ] || die 2 'want --jit NAME, and the JIT configuration on stdin'
      check_word NAME "$2"
      deliver jit "$2"
      ;;
    --token)
      [ $# -eq 4 ] || die 2 'want --token URL LABELS NAME, and the registration token on stdin'
      check_word NAME "$4"
      deliver token "$4" "$2" "$3"
      ;;
    --expire) expire ;;
    --serve)
      shift
      serve "$@"
      ;;
    --guard) guard ;;
    --stop) stop_listener ;;
    -*) die 2 "$1: no such option (see --help)" ;;
    *)
      [ $# -eq 4 ] || die 2 'want URL TOKEN LABELS NAME (see --help)'
      check_word NAME "$4"
      older "$@"
      ;;
  esac
}

set_option() {
  case $1 in
    --user) user=$2 ;;
    --pool) [ -z "$2" ] || check_word pool "$2"; pool=$2 ;;
    --repository) check_list "$1" "$2" '[A-Za-z0-9._-]+/[A-Za-z0-9._-]+' OWNER/REPO; repositories=$2 ;;
    --events) check_list "$1" "$2" '[a-z_]+' 'an event such as push'; events=$2 ;;
    --forks)
      case $2 in '' | allow) forks=allow ;; deny) forks=deny ;; *) die 2 "$1 $2: want allow or deny" ;; esac
      ;;
    *)
      case $2 in '' | *[!0-9]* | ?????????*) die 2 "$1 $2: want seconds" ;; esac
      case $1 in
        --linger) linger=$2 ;;
        --max-wait) max_wait=$2 ;;
        --max-life) max_life=$2 ;;
      esac
      ;;
  esac
}

# check_word refuses what is neither a user's nor a runner's name, before it gets near a path or JSON.
check_word() {
  case $2 in
    '' | -* | *[!A-Za-z0-9._-]*) die 2 "$1 '$2': want letters, digits, '.', '_' and '-'" ;;
  esac
  [ ${#2} -le 64 ] || die 2 "$1 '$2': want at most 64 characters"
}

# check_list OPTION LIST FORM WORDS refuses a list whose entries aren't all of a form (an extended regular expression).
# Nothing at all is a list, too.
check_list() {
  [ -n "$2" ] || return 0
  if [ "$(printf '%s' "$2" | wc -l)" -ne 0 ] || ! printf '%s\n' "$2" | grep -Eqx "$3(,$3)*"; then
    die 2 "$1 '$2': want $4, with commas between several"
  fi
}

# ---- what the guest is like

# probe prints how far this guest is as one line of JSON.
probe() {
  state=ready
  [ -s "$run/identity.sha256" ] && state=delivered
  [ -s "$run/result.json" ] && state="done"
  printf '{"contract":%s,"state":"%s","runner":"%s","runner_version":"%s","image":"%s","job_started":%s,"route":%s,"dns":%s,"listener":%s}\n' \
    "$contract" "$state" "$(json_text "$run/runner")" "$(runner_version)" "$(json_text "$root/etc/mayfly-image")" \
    "$(truth job_started)" "$(truth has_route)" "$(truth has_dns)" "$(truth has_listener)"
}

# truth COMMAND… prints true or false.
truth() { if "$@"; then echo true; else echo false; fi; }

# has_route: a default route in the kernel's tables, IPv4's (destination and mask 0) or IPv6's, whose unreachable ones
# are on lo.
has_route() {
  if [ -r "$root/proc/net/route" ]; then
    while read -r device destination _ _ _ _ _ mask _; do
      [ "$device" != lo ] && [ "$destination$mask" = 0000000000000000 ] && return
    done <"$root/proc/net/route"
  fi
  [ -r "$root/proc/net/ipv6_route" ] || return
  while read -r destination length _ _ _ _ _ _ _ device; do
    [ "$device" != lo ] && [ "$destination/$length" = 00000000000000000000000000000000/00 ] && return
  done <"$root/proc/net/ipv6_route"
  return 1
}

# has_dns: the resolver finds GitHub's address. A resolver that doesn't answer must not hold the caller for long.
has_dns() {
  has_route || return
  if [ -n "$root" ]; then
    "$root/bin/getent" ahosts "$dns_name" >/dev/null 2>&1
  elif command -v getent >/dev/null; then
    RES_OPTIONS='timeout:1 attempts:1' timeout "$dns_patience" getent ahosts "$dns_name" >/dev/null 2>&1
  else
    timeout "$dns_patience" nslookup "$dns_name" >/dev/null 2>&1
  fi
}

# has_listener: its program is there and can be read.
has_listener() { [ -x "$runner_dir/bin/Runner.Listener" ] && head -c 1 "$runner_dir/bin/Runner.Listener" >/dev/null 2>&1; }

# json_text prints the first line of a file as the inside of a JSON string; nothing when there is none.
json_text() {
  [ -r "$1" ] && head -n 1 "$1" | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g'
}

# runner_version is what the image says it holds, else what the listener says (asked once: it takes its time to start).
runner_version() {
  if [ -r "$runner_dir/runner-version" ]; then
    json_text "$runner_dir/runner-version"
    return
  fi
  [ -x "$runner_dir/bin/Runner.Listener" ] || return
  # As the user: it leaves files in the runner's folder that must not be root's.
  if [ ! -e "$run/runner-version" ] && find_user && make_run; then
    (cd "$runner_dir" && become bin/Runner.Listener --version) </dev/null 2>/dev/null |
      sed -n '/^[0-9][0-9.]*$/{p;q;}' >"$run/runner-version"
  fi
  json_text "$run/runner-version"
}

# The listener's lines are "2026-11-24 10:00:00Z: Running job: NAME" and "…: Job NAME completed with result: RESULT"
# (actions/runner JobDispatcher.cs). Names may hold anything, so only what leads up to them counts.
job_started() { [ -r "$log" ] && grep -q '^[0-9: Z-]*Running job: ' "$log"; }

make_run() { mkdir -p "$run" && chmod 700 "$run"; }

# mount_of PATH sets mount_source and mount_type to those of the mount that a path is in. Of two at one place the kernel
# lists the upper one last.
mount_of() {
  mount_source='' mount_type='' longest=0
  while read -r source place type _; do
    case $1/ in "${place%/}"/*) ;; *) continue ;; esac
    [ ${#place} -lt "$longest" ] || { mount_source=$source mount_type=$type longest=${#place}; }
  done <"$root/proc/mounts"
}

in_memory() {
  mount_of "$1"
  case $mount_type in tmpfs | ramfs | rootfs) ;; *) return 1 ;; esac
}

# check_image ends with 4 when this guest can't ever become a runner. It sets uid and gid.
check_image() {
  [ -x "$runner_dir/bin/Runner.Listener" ] || die 4 "image: no program $runner_dir/bin/Runner.Listener; install the runner there"
  [ "$1" = jit ] || [ -x "$runner_dir/config.sh" ] || die 4 "image: no program $runner_dir/config.sh; install the runner there"
  command -v sha256sum >/dev/null || die 4 'image: no sha256sum; install coreutils'
  find_user || die 4 "image: no user $user; make it, or name another with --user"
  if [ "$uid" = 0 ] && [ -z "${RUNNER_ALLOW_RUNASROOT:-}" ]; then
    die 2 "user $user is root; name an unprivileged one, or set RUNNER_ALLOW_RUNASROOT"
  fi
  in_memory /run/mayfly || die 4 'image: /run is no tmpfs, so the identity would reach a disk; mount one there'
  check_hook
}

# check_hook ends with 4 when there is a policy that this image wouldn't enforce.
check_hook() {
  if [ -z "$repositories$events" ] && [ "$forks" = allow ]; then return; fi
  [ -r "$hook" ] || die 4 "image: no $hook, so it can't keep the pool's policy (pools[].jobs); rebuild the template"
  # The listener takes .env over its environment (actions/runner Program.cs).
  for file in "$runner_dir/.env" "$root/etc/environment"; do
    if [ -r "$file" ] && grep -q '^\(export \)\{0,1\}ACTIONS_RUNNER_HOOK_JOB_STARTED=' "$file"; then
      die 4 "image: $file names another job-started hook in place of $hook, which keeps the pool's policy (pools[].jobs); take that out"
    fi
  done
}

# write_policy says to job-started.sh which jobs may run. Anybody may read it, root alone write.
write_policy() {
  [ -r "$hook" ] || return 0
  printf 'pool=%s\nrepositories=%s\nevents=%s\nforks=%s\n' "$pool" "$repositories" "$events" "$forks" >"$policy.new" &&
    chmod 644 "$policy.new" && mv "$policy.new" "$policy"
}

find_user() {
  uid=$(id -u "$user" 2>/dev/null) && gid=$(id -g "$user" 2>/dev/null) && [ -n "$uid" ]
}

# ---- what must not reach a disk

# keep_in_memory sees to it that no disk gets what the runner's user writes beside GitHub's runner, which unpacks its
# identity there, and that no memory is swapped out. It says why where it can't. Doing it again changes nothing.
keep_in_memory() {
  no_swap || return 1
  if in_memory /opt/actions-runner; then return 0; fi
  upper=$run/folder
  if [ "$mount_source" != mayfly ]; then
    # Not in /run itself: that is small, and a job that fills this must not fill that.
    mkdir -p "$upper" && tool mount -t tmpfs -o mode=755,nosuid,nodev mayfly "$upper" || return 1
    if ! cover; then
      tool umount -l "$upper"
      return 1
    fi
  fi
  # What is big and holds no identity stays on the disk. A delivery that died may have got this far.
  for dir in _work _diag; do
    mount_of "/opt/actions-runner/$dir"
    [ "$mount_source" != mayfly ] || tool mount -o rbind "$upper/$dir" "$runner_dir/$dir" || return 1
  done
}

# cover puts an overlay with its upper half in memory over the runner's folder. Its mounts are everybody's, so Docker
# finds what a job names; they go with the VM.
cover() {
  mkdir "$upper/files" "$upper/scratch" && chown "$uid:$gid" "$upper/files" || return 1
  chmod 755 "$upper/files"
  for dir in _work _diag; do
    [ -d "$runner_dir/$dir" ] || { mkdir -m 755 "$runner_dir/$dir" && chown "$uid:$gid" "$runner_dir/$dir"; } || return 1
    mkdir "$upper/$dir" && tool mount -o rbind "$runner_dir/$dir" "$upper/$dir" || return 1
  done
  tool mount -t overlay -o "lowerdir=$runner_dir,upperdir=$upper/files,workdir=$upper/scratch" mayfly "$runner_dir"
}

# no_swap turns swap off where it is on a disk. Compressed memory (zram) is none.
no_swap() {
  [ -r "$root/proc/swaps" ] || return 0
  while read -r device _; do
    case $device in Filename | /dev/zram* | zram*) continue ;; esac
    tool swapoff "$device" || return 1
    say "swap on $device is off now: it is on a disk" >&2
  done <"$root/proc/swaps"
}

# ---- delivery

# deliver KIND NAME [URL LABELS] takes the identity from stdin and hands the listener over. The same identity again
# changes nothing (0), another one is refused (3).
deliver() {
  if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then die 2 "--$1 is for root"; fi
  check_image "$1"
  make_run || die 4 "image: can't make $run"
  incoming=$run/incoming.$$
  locked=
  trap leave EXIT
  trap 'exit 1' HUP INT TERM
  tr -d '[:space:]' >"$incoming"
  [ -s "$incoming" ] || die 2 'empty identity: it comes on standard input'
  hash=$(sha256sum <"$incoming" | cut -d ' ' -f 1)

  lock
  if [ -s "$run/identity.sha256" ]; then
    # Also after --expire.
    [ "$(cat "$run/identity.sha256")" = "$hash" ] || die 3 'this guest holds another identity; it takes one in its life'
    # A delivery that died half-way is finished below; one that got through is left alone.
    if [ -e "$run/handed-over" ] || [ -d "$run/serving" ]; then exit 0; fi
  fi
  words=$(keep_in_memory 2>&1) || die 4 "image: can't keep the runner's identity in memory: $words; it needs overlayfs, and no swap on a disk"
  [ -z "$words" ] || echo "$words" >&2
  write_policy || die 4 "image: can't write $policy"
  echo "$2" >"$run/runner"
  mv "$incoming" "$run/identity"
  echo "$hash" >"$run/identity.sha256.new" && mv "$run/identity.sha256.new" "$run/identity.sha256"
  if ! words=$(hand_over "$@" 2>&1); then
    rm -f "$run/identity" "$run/identity.sha256" "$run/runner" "$policy"
    die 4 "hand the listener over: ${words:-no reason given}"
  fi
  : >"$run/handed-over"
}

# leave cleans up after a delivery, however it ends.
leave() {
  [ -z "$incoming" ] || rm -f "$incoming"
  [ -z "$locked" ] || rm -f "$run/lock"
}

# lock waits for other deliveries. The lock is a link that names its holder, so it never is without one. One that died
# with it must not block for ever; should two ever get past here together, serve still begins only once.
lock() {
  waited=0
  until ln -s "$$" "$run/lock" 2>/dev/null; do
    if holder=$(readlink "$run/lock") && ! kill -0 "$holder" 2>/dev/null; then
      rm -f "$run/lock"
    elif [ "$waited" -ge "$lock_patience" ]; then
      rm -f "$run/lock"
      ln -s "$$" "$run/lock" || die 4 "image: can't make $run/lock"
      break
    else
      nap 1
      waited=$((waited + 1))
    fi
  done
  locked=yes
}

# expire is the end of a VM that no identity came to; from here on it takes none. One that is a runner, by whichever call,
# is left alone.
expire() {
  if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then die 2 '--expire is for root'; fi
  make_run || die 4 "image: can't make $run"
  incoming='' locked=
  trap leave EXIT
  trap 'exit 1' HUP INT TERM
  lock
  if [ -s "$run/identity.sha256" ] || grep -qs '[R]unner\.Listener' "$root"/proc/[0-9]*/cmdline; then exit 0; fi
  echo expired >"$run/identity.sha256"
  say 'no identity came; power-off'
  power_off
}

# hand_over starts "serve" so that it outlives this process, the guest agent and its cgroup, and returns at once. Nothing
# of it may keep the caller's output open: guest-exec-status says "exited" only when that is closed.
#
# Not with "&": a shell without job control lets such children ignore SIGINT, and jobs would inherit that.
hand_over() {
  seconds_up >"$run/delivered"
  set -- --user "$user" --linger "$linger" --max-wait "$max_wait" --max-life "$max_life" --serve "$@"
  if [ -d "$root/run/systemd/system" ]; then
    # The listener waits for the network, cloud-init and docker, this call doesn't: the agent may be up before them.
    # However the unit ends, the VM powers off; one killed process of the job must not end it. Jobs get the open files that they have on GitHub's own runners. A fork bomb is met by the limit
    # of processes that each user has, which root, and so what follows the job, doesn't.
    systemd-run --quiet --no-block --unit=mayfly-runner --description='GitHub Actions runner for one job' \
      --property=Wants=network-online.target \
      --property='After=network-online.target cloud-final.service docker.service time-sync.target' \
      --property=SuccessAction=poweroff-force --property=FailureAction=poweroff-force \
            --property="RuntimeMaxSec=$((max_life + linger + reserve))" \
      --property="ExecStop=/bin/sh $self --stop" --property=KillMode=mixed --property="TimeoutStopSec=$((farewell + tick))" \
      --property=OOMPolicy=continue --property=TasksMax=infinity --property=LimitNOFILE=65536:524288 \
      "$root/bin/sh" "$self" "$@" </dev/null ||
      [ "$(systemctl show --property=LoadState --value mayfly-runner.service 2>/dev/null)" = loaded ] || return
    systemd-run --quiet --no-block --unit=mayfly-guard --description='Deadline of the GitHub Actions runner' \
      --property=DefaultDependencies=no --property=FailureAction=poweroff-force \
      "$root/bin/sh" "$self" --max-wait "$max_wait" --max-life "$max_life" --linger "$linger" --guard </dev/null || :
  else
    detach serve "$@" || return
    detach guard --max-wait "$begin_by" --max-life "$max_life" --linger "$linger" --guard || :
  fi
}

# detach WHAT ARGUMENTS… starts this script in a session of its own.
detach() {
  what=$1
  shift
  if setsid --help 2>&1 | grep -q -e --fork; then
    setsid --fork "$root/bin/sh" "$self" "$@" </dev/null >/dev/null 2>&1
  elif command -v start-stop-daemon >/dev/null; then
    start-stop-daemon -S -b -m -p "$run/$what.pid" -a "$root/bin/sh" -- "$self" "$@" </dev/null >/dev/null 2>&1
  else
    echo 'neither systemd nor setsid --fork nor start-stop-daemon in the image' >&2
    return 1
  fi
}

# seconds_up counts from the boot: unlike the clock it never jumps.
seconds_up() { cut -d . -f 1 "$root/proc/uptime" 2>/dev/null || echo 0; }

# ---- the runner's life

# serve KIND NAME [URL LABELS] is what the unit runs, as root: the listener, its result, the power-off.
serve() {
  # Exactly one, whatever happened to the deliveries.
  mkdir "$run/serving" 2>/dev/null || exit 0
  echo $$ >"$run/serving/pid"
  oom_score "$own_oom"
  kind=$1 name=$2 url=${3:-} labels=${4:-}
  trap 'echo >"$run/ended"; power_off' EXIT
  stopping=
  trap 'stopping=yes' HUP INT TERM
  if [ -z "$root" ] && [ ! -d /run/systemd/system ] && [ -w /dev/console ]; then exec >/dev/console 2>&1; fi
  find_user || die 4 "image: no user $user"
  began=$(now)
  : >"$log"
  # The result must find room even where a job filled /run.
  head -c 65536 /dev/zero >"$run/room"
  tail -n +1 -f "$log" &
  tail_pid=$!
  watch &
  watch_pid=$!

  # Again: swap may have come on since, and the guest agent's view of the mounts may be its own.
  if ! keep_in_memory; then
    exit_code=126
    say "runner $name: can't keep its identity in memory"
  elif register "$kind"; then
    attend "$kind"
  else
    exit_code=$?
    say "runner $name: config.sh ended with $exit_code"
  fi
  rm -f "$run/identity"
  kill "$watch_pid" 2>/dev/null
  # The listener keeps the identity in its own folder.
  rm -f "$runner_dir/.credentials" "$runner_dir/.credentials_rsaparams" "$runner_dir/.runner"

  outcome=$(outcome "$exit_code")
  write_result
  keep_logs
  say "runner $name: listener ended with $exit_code, outcome $outcome; power-off in $linger s"
  [ -n "$stopping" ] || nap "$linger"
  kill "$tail_pid" 2>/dev/null
  exit 0
}

# register trades a registration token for an identity; with a JIT configuration there is nothing to do.
register() {
  [ "$1" = token ] || return 0
  in_runner_dir token ./config.sh --unattended --ephemeral --disableupdate --url "$url" --name "$name" --labels "$labels" --work _work
  status=$?
  rm -f "$run/identity"
  return $status
}

# attend starts the listener, again where it asks for that, and sets exit_code. Once a job has started it never does:
# one VM, one job.
attend() {
  starts=0
  while :; do
    starts=$((starts + 1))
    in_runner_dir "$1" bin/Runner.Listener run
    exit_code=$?
    case $exit_code in 2 | 3 | 4) ;; *) return ;; esac
    if job_started || [ -n "$stopping" ] || [ -e "$run/expired" ] || [ "$starts" -ge "$max_starts" ]; then return; fi
    say "runner $name: listener ended with $exit_code before a job; starting it again in $retry_delay s"
    nap "$retry_delay"
  done
}

# in_runner_dir KIND COMMAND… runs the command as the runner's user, in its folder, with the identity in its
# environment, its output in the log and its process id in listener.pid. It stays in the foreground (see hand_over).
in_runner_dir() {
  (
    trap - EXIT
    umask 022
    oom_score "$listener_oom"
    cd "$runner_dir" || exit 126
    job_environment
    case $1 in
      jit) ACTIONS_RUNNER_INPUT_JITCONFIG=$(cat "$run/identity") && export ACTIONS_RUNNER_INPUT_JITCONFIG ;;
      token) [ ! -s "$run/identity" ] || { ACTIONS_RUNNER_INPUT_TOKEN=$(cat "$run/identity") && export ACTIONS_RUNNER_INPUT_TOKEN; } ;;
    esac
    shift
    # shellcheck disable=SC2016 # the inner shell's parent is this subshell, which becomes the command
    sh -c 'echo "$PPID"' >"$run/listener.pid"
    become "$@"
  ) </dev/null >>"$log" 2>&1
  set -- $?
  rm -f "$run/listener.pid"
  return "$1"
}

# oom_score NUMBER makes this shell, and what it starts, dearer or cheaper to the OOM killer.
oom_score() { { echo "$1" >"$root/proc/self/oom_score_adj"; } 2>/dev/null; }

# become COMMAND… replaces this shell by the command, run as the runner's user.
become() {
  if [ "$(id -u)" = "$uid" ]; then exec "$@"; fi
  if setpriv --reuid "$uid" --regid "$gid" --init-groups true 2>/dev/null; then
    exec setpriv --reuid "$uid" --regid "$gid" --init-groups "$@"
  fi
  # busybox's setpriv can't.
  # shellcheck disable=SC2016 # for the inner shell
  exec su -m -s /bin/sh -c 'exec "$0" "$@"' -- "$user" "$@"
}

# job_environment is what a login would give: /etc/environment (proxies, tool paths), and the runner's own .path.
job_environment() {
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  [ -z "$root" ] || PATH=$root/bin:$PATH
  LANG=${LANG:-C.UTF-8} USER=$user LOGNAME=$user SHELL=/bin/sh
  [ ! -x /bin/bash ] || SHELL=/bin/bash
  eval "HOME=~$user" # the name is letters, digits, '.', '_' and '-'
  export PATH LANG USER LOGNAME SHELL HOME
  if [ -r "$root/etc/environment" ]; then
    while IFS= read -r line || [ -n "$line" ]; do
      line=${line#export }
      key=${line%%=*} value=${line#*=}
      case $line in [A-Za-z_]*=*) ;; *) continue ;; esac
      case $key in *[!A-Za-z0-9_]*) continue ;; esac
      case $value in \"*\") value=${value#\"} value=${value%\"} ;; \'*\') value=${value#\'} value=${value%\'} ;; esac
      export "$key=$value"
    done <"$root/etc/environment"
  fi
  [ ! -r .path ] || PATH=$(cat .path)
  # Without it the listener says 1 for a version that GitHub no longer accepts, as for any other end
  # (actions/runner Program.cs).
  ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1
  export ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE
  # An image without the policy's hook, or with one of its own and no policy to keep, is left as it is.
  if [ -r "$policy" ] && [ -r "$hook" ] && [ -z "${ACTIONS_RUNNER_HOOK_JOB_STARTED:-}" ]; then
    ACTIONS_RUNNER_HOOK_JOB_STARTED=$hook
    export ACTIONS_RUNNER_HOOK_JOB_STARTED
  fi
}

# watch, beside the listener, forgets the identity once a job has started and keeps the deadlines, which begin with the
# delivery. It counts its own ticks: a guest's clock may jump when it is set.
watch() {
  trap - EXIT HUP INT TERM
  started=
  up=$(seconds_up) delivered=$(cat "$run/delivered" 2>/dev/null)
  elapsed=$((up - ${delivered:-$up}))
  # A signal that comes before the line above is lost in some shells; the result ends us too.
  while nap "$tick" && [ ! -e "$run/result.json" ]; do
    elapsed=$((elapsed + tick))
    if [ -z "$started" ] && job_started; then
      started=yes
      rm -f "$run/identity"
    fi
    if [ -z "$started" ] && [ "$elapsed" -ge "$max_wait" ]; then
      echo "no job in $max_wait s" >"$run/expired"
    elif [ "$elapsed" -ge "$max_life" ]; then
      echo "not over after $max_life s" >"$run/expired"
    else
      continue
    fi
    say "listener: $(cat "$run/expired"); stopping it"
    # The listener may be between two starts: keep at it until serve ends us.
    left=$grace
    while [ ! -e "$run/result.json" ]; do
      listener_pid=$(cat "$run/listener.pid" 2>/dev/null)
      signal=TERM
      [ "$left" -gt 0 ] || signal=KILL
      [ -z "$listener_pid" ] || kill -s "$signal" "$listener_pid" 2>/dev/null
      nap "$tick"
      left=$((left - tick))
    done
  done
}

# guard powers off when serve was killed, or hangs, or never begins: what its unit waits for may never come.
guard() {
  oom_score "$own_oom"
  elapsed=0
  while nap "$tick" && [ ! -e "$run/ended" ]; do
    elapsed=$((elapsed + tick))
    serving=$(cat "$run/serving/pid" 2>/dev/null)
    if [ -z "$serving" ]; then
      [ "$elapsed" -ge "$max_wait" ] || continue
    elif kill -0 "$serving" 2>/dev/null; then
      [ "$elapsed" -ge $((max_life + linger + reserve)) ] || continue
    fi
    say 'the runner is overdue or was killed; power-off'
    power_off
    return
  done
}

# stop_listener is the orderly end of the unit: the machine is shut down. Only the listener hears of it, as with GitHub's
# own service (runsvc.sh): it cancels the job, whose steps end by its hand, and tells GitHub.
stop_listener() {
  kill -s INT "$(cat "$run/listener.pid" 2>/dev/null)" 2>/dev/null || exit 0
  while [ -e "$run/listener.pid" ] && [ "$farewell" -gt 0 ]; do
    nap 1
    farewell=$((farewell - 1))
  done
}

# outcome CODE says in one word what became of the runner.
outcome() {
  if [ "$1" = 7 ]; then echo deprecated; return; fi
  if ! job_started; then
    if [ "$1" = 0 ] || { [ -e "$run/expired" ] && grep -q '^no job' "$run/expired"; }; then echo no_job; else echo infrastructure; fi
    return
  fi
  case $(sed -n 's/^[0-9: Z-]*Job .* completed with result: \([A-Za-z]*\)[[:space:]]*$/\1/p' "$log" | tail -n 1) in
    Succeeded | SucceededWithIssues | Skipped) echo succeeded ;;
    Failed) echo failed ;;
    Canceled | Cancelled) echo cancelled ;;
    *) # 100 and up: the result itself, where the image sets ACTIONS_RUNNER_RETURN_JOB_RESULT_FOR_HOSTED.
      case $1 in 100 | 101 | 104) echo succeeded ;; 102) echo failed ;; 103) echo cancelled ;; *) echo infrastructure ;; esac
      ;;
  esac
}

write_result() {
  rm -f "$run/room"
  started=false
  job_started && started=true
  printf '{"runner":"%s","exit_code":%s,"outcome":"%s","job_started":%s,"started_at":"%s","finished_at":"%s"}\n' \
    "$name" "$exit_code" "$outcome" "$started" "$began" "$(now)" >"$run/result.json.new" &&
    mv "$run/result.json.new" "$run/result.json"
}

# keep_logs leaves on the disk what says what became of the runner, for whoever looks into it after the power-off. _diag
# is there already. A disk that is full has to do without.
keep_logs() {
  kept=$root/var/log/mayfly
  { mkdir -p "$kept" && tail -c "$kept_bytes" "$log" >"$kept/listener.log" && cp "$run/result.json" "$kept/"; } 2>/dev/null
}

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# power_off ends this machine, by force if need be: nothing on it is worth an orderly end, and a job may have left
# processes behind that hang one.
power_off() {
  if [ -n "$root" ]; then
    "$root/sbin/poweroff"
    return
  fi
  if [ -d /run/systemd/system ]; then
    systemctl poweroff --force
    nap 60
    systemctl poweroff --force --force
  else
    poweroff
    nap 60
    poweroff -f
  fi
  nap 10
  echo 1 >/proc/sys/kernel/sysrq
  echo o >/proc/sysrq-trigger
}

# ---- the older call

# older URL TOKEN LABELS NAME registers and runs in the foreground, as the runner's user, then powers off if it may. Its
# token is in its caller's arguments already; it goes no further that way.
older() {
  if [ "$(id -u)" = 0 ] && [ -z "${RUNNER_ALLOW_RUNASROOT:-}" ]; then
    die 2 'this call is for the unprivileged user; as root use --jit or --token'
  fi
  cd "$runner_dir" || die 4 "image: no folder $runner_dir; install the runner there"
  if [ ! -x config.sh ] || [ ! -x bin/Runner.Listener ]; then die 4 "image: no runner in $runner_dir; install it there"; fi
  umask 022
  trap 'exit 1' HUP INT TERM
  trap older_end EXIT
  ACTIONS_RUNNER_INPUT_TOKEN=$2 ./config.sh --unattended --ephemeral --disableupdate \
    --url "$1" --name "$4" --labels "$3" --work _work </dev/null || exit
  ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1
  export ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE
  starts=0
  while :; do
    starts=$((starts + 1))
    bin/Runner.Listener run </dev/null
    code=$?
    case $code in 2 | 3 | 4) ;; *) exit "$code" ;; esac
    [ "$starts" -lt "$max_starts" ] || exit "$code"
    nap "$retry_delay"
  done
}

older_end() {
  code=$?
  trap - EXIT
  say "listener ended with $code; power-off in $linger s"
  nap "$linger"
  if [ -n "$root" ] || [ "$(id -u)" = 0 ]; then
    power_off
  elif ! sudo -n poweroff 2>/dev/null; then
    poweroff 2>/dev/null || say "user $(id -un) may not power off; leaving that to the dispatcher" >&2
  fi
  exit "$code"
}

main "$@"
