#!/bin/sh
# job-started.sh is the hook that GitHub's runner starts as its own user before a job's first step
# (ACTIONS_RUNNER_HOOK_JOB_STARTED). It says in the job's log where the job runs, and refuses jobs that the pool's
# policy forbids: /run/mayfly-policy, which run-once.sh wrote as root. Whatever it can't tell, it refuses.
#
# It is no wall against code on this machine: what protects beside it is in docs/security.md.
#
# The runner calls it as "bash -e", or "sh -e" without bash (actions/runner docs/adrs/1751-runner-job-hooks.md).
set +e -u

# From where this script lies, for tests: the environment is partly the job's.
root=${0%/opt/actions-runner/job-started.sh}
[ "$root" != "$0" ] || root=
PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C
export PATH LC_ALL
policy=$root/run/mayfly-policy

main() {
  where
  [ -r "$policy" ] || refuse policy "this runner has no policy ($policy is missing)" 'Rebuild the runner image.'
  pool='' repositories='' events='' forks=deny
  while IFS='=' read -r key value; do
    case $key in
      pool) pool=$value ;;
      repositories) repositories=$value ;;
      events) events=$value ;;
      forks) forks=$value ;;
    esac
  done <"$policy"

  repository=$(plain "${GITHUB_REPOSITORY:-}")
  event=$(plain "${GITHUB_EVENT_NAME:-}")
  check_repository
  check_event
  [ "$forks" = allow ] || check_fork
}

# where says what this job runs on.
where() {
  echo '::group::Mayfly runner'
  echo "runner:  $(plain "${RUNNER_NAME:-}")"
  pool=$(sed -n 's/^pool=//p' "$policy" 2>/dev/null)
  [ -z "$pool" ] || echo "pool:    $(plain "$pool")"
  echo "image:   $(first_line "$root/etc/mayfly-image")"
  echo "version: $(first_line "$root/opt/actions-runner/runner-version") of the Actions runner"
  echo 'one job, then this VM is destroyed'
  echo '::endgroup::'
}

first_line() {
  line=
  [ ! -r "$1" ] || IFS= read -r line <"$1"
  line=$(plain "$line")
  echo "${line:-unknown}"
}

# plain lets nothing through that could be a command to the runner or hide in a log.
plain() { printf '%s' "$1" | tr -cd 'A-Za-z0-9._/ -' | cut -c 1-200; }

lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }

# listed LIST WORD
listed() {
  case ",$1," in *",$2,"*) return 0 ;; esac
  return 1
}

check_repository() {
  [ -n "$repositories" ] || return 0
  listed "$(lower "$repositories")" "$(lower "$repository")" ||
    refuse repositories "it is of the repository ${repository:-without a name}, and the pool serves $repositories" \
      'Use the labels of a pool that serves this repository, or add it to jobs.repositories of the pool.'
}

check_event() {
  [ -n "$events" ] || return 0
  listed "$events" "$event" ||
    refuse events "it was started by the event ${event:-without a name}, and the pool takes $events" \
      "Run it elsewhere (runs-on: ubuntu-latest), or add the event to jobs.events of the pool."
}

# check_fork looks where the code of a pull request, or of the run that this one follows, comes from. Other events are
# of the repository itself: who starts those can write to it.
check_fork() {
  case $event in
    pull_request*) about=pull_request ;;
    workflow_run) about=workflow_run ;;
    '') refuse forks "GitHub's event has no name, so it can't be told whether the job is a fork's" 'Start the job again.' ;;
    *) return 0 ;;
  esac
  verdict=$(origin "$about")
  case $verdict in
    same) return 0 ;;
    'fork '*)
      from=$(plain "${verdict#fork }")
      refuse forks "it is of a fork (${from:-which is deleted}; event $event)" \
        "Run it on GitHub's machines (runs-on: ubuntu-latest); or let a maintainer read the change and push its branch to $repository; or set jobs.forks of the pool to allow, after reading docs/security.md."
      ;;
    no-tool)
      refuse forks "this image has neither jq nor python3, so it can't be told whether the job is a fork's (event $event)" \
        'Install jq in the runner image.'
      ;;
  esac
  refuse forks "GitHub's event ($event) doesn't say whether the job is a fork's" 'Start the job again.'
}

# origin KEY prints "same", "fork OWNER/REPO" ("fork " where that is deleted), "no-tool" or anything else for what it
# can't read. Ids decide where there are some: names change. A head without a repository is a fork that was deleted.
origin() {
  payload=${GITHUB_EVENT_PATH:-}
  [ -r "$payload" ] || { echo unreadable; return; }
  if tool jq; then
    # shellcheck disable=SC2016 # $about and the like are jq's
    "$found" -r --arg about "$1" '
      (if $about == "workflow_run" then .workflow_run else .pull_request.head end) as $from |
      (if $about == "workflow_run" then $from.head_repository else $from.repo end) as $head |
      .repository as $base |
      def name: .full_name | strings | ascii_downcase;
      if ($from | type) != "object" or ($base | type) != "object" then "unreadable"
      elif $head == null then "fork "
      elif ([$head.id, $base.id] | all(type == "number")) then
        if $head.id == $base.id then "same" else "fork \($head.full_name)" end
      elif [$head | name] != [] and [$head | name] == [$base | name] then "same"
      else "fork \($head.full_name)" end' "$payload" 2>/dev/null || echo unreadable
  elif tool python3; then
    "$found" -I -c '
import json, sys
about, path = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    event = json.load(file)
origin = event["workflow_run"] if about == "workflow_run" else event["pull_request"]["head"]
head = origin.get("head_repository" if about == "workflow_run" else "repo")
base = event["repository"]
def name(repository):
    return str(repository.get("full_name") or "").lower()
def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)
if head is None:
    print("fork ")
elif number(head.get("id")) and number(base.get("id")):
    print("same" if head["id"] == base["id"] else "fork %s" % head.get("full_name"))
else:
    print("same" if name(head) and name(head) == name(base) else "fork %s" % head.get("full_name"))
' "$1" "$payload" 2>/dev/null || echo unreadable
  else
    echo no-tool
  fi
}

# tool NAME sets found to where a program is.
tool() {
  for dir in /usr/local/bin /usr/bin /bin; do
    found=$root$dir/$1
    [ ! -x "$found" ] || return 0
  done
  return 1
}

# refuse KEY WHY WHAT-TO-DO ends the job.
refuse() {
  key=jobs.$1
  [ "$1" != policy ] || key=policy
  echo "::error title=Refused by this runner::Pool ${pool:-without a name} refuses this job by $key: $2. $3"
  end_runner
  exit 1
}

# end_runner interrupts the listener that all this runs under. A failed hook alone doesn't stop steps with
# "if: always()", nor the "pre" part of actions; a runner that shuts down skips every step, and the job fails
# (actions/runner StepsRunner.cs, RunnerShutdownToken).
end_runner() {
  trap 'exit 1' INT TERM
  pid=$PPID
  while [ "$pid" -gt 1 ] 2>/dev/null; do
    parent=
    name=
    while read -r key value; do
      case $key in Name:) name=$value ;; PPid:) parent=$value ;; esac
    done 2>/dev/null <"/proc/$pid/status"
    if [ "$name" = Runner.Listener ]; then
      kill -INT "$pid" || break
      # The runner ends this script; should it not, there is a limit.
      left=60
      while [ "$left" -gt 0 ]; do
        sleep 1
        left=$((left - 1))
      done
      return
    fi
    pid=$parent
  done
  echo "::warning::The runner's listener wasn't found or can't be interrupted: steps with \"if: always()\" may still run."
}

main
