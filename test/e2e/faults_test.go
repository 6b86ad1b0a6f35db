//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/sim/gh"
)

// waits is a job's step that lasts until somebody makes /tmp/go.
const waits = "echo started; while [ ! -e /tmp/go ]; do sleep 0.2; done"

// fault is something that goes wrong with a machine that is a runner, or should become one.
type fault struct {
	name    string
	prepare string   // shell that runs in the machine's root before it boots
	boot    []string // systemd-nspawn's options
	job     string   // the step of the one job that waits; "" for no job
	call    string   // how the identity is delivered; $JIT and $TOKEN stand in a file each
	// during runs in the machine once the job has started, or, without a job, once the listener runs.
	during string
	// result is what the machine kept on its disk says of its runner; "" for none.
	result string
	// starts is how often the job was started.
	starts int
}

const deliverJIT = runOnce + " --linger 1 --jit ep-1 </jit"

// killListener kills the listener, but not what it started.
const killListener = "kill -9 $(cat /run/mayfly/listener.pid)"

var faults = []fault{
	{
		name: "no identity ever", prepare: "IDENTITY_DEADLINE=3s sh /common/provision.d/45-deadline.sh",
	},
	{
		name: "no job", call: runOnce + " --linger 1 --max-wait 10 --jit ep-1 </jit",
		result: `"exit_code":143,"outcome":"no_job","job_started":false`,
	},
	{
		// Something that the unit waits for never ends; the result never comes to be.
		name: "network never online", prepare: `cat >/etc/systemd/system/never.service <<'END'
[Unit]
Before=network-online.target
[Service]
Type=oneshot
ExecStart=/bin/sleep infinity
END
mkdir -p /etc/systemd/system/network-online.target.wants
ln -s ../never.service /etc/systemd/system/network-online.target.wants/`,
		job: "true", call: runOnce + " --max-wait 2 --jit ep-1 </jit",
	},
	{
		name: "no network", boot: []string{"--private-network"}, job: "true",
		prepare: "ln -sf /dev/null /etc/systemd/system/systemd-networkd-wait-online.service",
		call:    runOnce + " --linger 1 --max-wait 10 --jit ep-1 </jit",
		result:  `"exit_code":143,"outcome":"no_job","job_started":false`,
	},
	{
		name: "bad token", job: "true", call: "echo WRONG | " + runOnce + " --linger 1 --token $(cat /url) self-hosted ep-1",
		result: `"exit_code":1,"outcome":"infrastructure","job_started":false`,
	},
	{
		name: "identity that is none", job: "true", call: "echo bm90aGluZw== | " + runOnce + " --linger 1 --jit ep-1",
		result: `"exit_code":1,"outcome":"infrastructure","job_started":false`,
	},
	{
		name: "listener killed before a job", call: deliverJIT, during: killListener,
		result: `"exit_code":137,"outcome":"infrastructure","job_started":false`,
	},
	{
		name: "listener killed in the job", job: waits, call: deliverJIT, during: killListener,
		result: `"exit_code":137,"outcome":"infrastructure","job_started":true`, starts: 1,
	},
	{
		// Go's runtime ends with 2, which asks for another start, but not after a job.
		name: "listener crashes in the job", job: waits, call: deliverJIT, during: "kill -SEGV $(cat /run/mayfly/listener.pid)",
		result: `"exit_code":2,"outcome":"infrastructure","job_started":true`, starts: 1,
	},
	{
		name: "script killed in the job", job: waits, call: deliverJIT, during: "kill -9 $(cat /run/mayfly/serving/pid)",
		starts: 1,
	},
	{
		name: "daemons that want to stay", call: deliverJIT, starts: 1,
		job: `for n in 1 2 3; do
  setsid --fork env -i sh -c 'trap "" HUP INT TERM; while :; do sleep 1; done' </dev/null >/dev/null 2>&1
  nohup env -i sh -c '(trap "" HUP INT TERM; while :; do sleep 1; done) &' </dev/null >/dev/null 2>&1
done`,
		result: `"exit_code":0,"outcome":"succeeded","job_started":true`,
	},
	{
		name: "no room left in memory", job: waits, call: deliverJIT, starts: 1,
		during: "mount -o remount,size=16m /run; dd if=/dev/zero of=/run/full bs=4k; touch /tmp/go",
		result: `"exit_code":0,"outcome":"succeeded","job_started":true`,
	},
	{
		name: "delivered again and again", job: waits, call: deliverJIT, starts: 1,
		during: runOnce + " --jit ep-1 </jit || exit; echo b3RoZXI= | " + runOnce + " --jit ep-2; [ $? = 3 ] && touch /tmp/go",
		result: `"exit_code":0,"outcome":"succeeded","job_started":true`,
	},
	{
		// Two identities at once, each twice: all deliveries of the one are fine, all of the other refused.
		name: "delivered twice at once", job: waits, starts: 1, during: "touch /tmp/go",
		call: `for n in 1 2; do
  ` + runOnce + ` --linger 1 --jit ep-1 </jit && echo 0 >/code-1-$n &
  ` + runOnce + ` --linger 1 --jit ep-2 </jit2 && echo 0 >/code-2-$n &
done
wait
set -- /code-*
[ "$*" = "/code-1-1 /code-1-2" ] || [ "$*" = "/code-2-1 /code-2-2" ]`,
		result: `"exit_code":0,"outcome":"succeeded","job_started":true`,
	},
	{
		name: "shut down in the job", job: waits, call: deliverJIT, during: "systemctl poweroff --no-block", starts: 1,
		result: `"exit_code":0,"outcome":"cancelled","job_started":true`,
	},
}

// TestWhateverHappensTheMachinePowersOffAfterOneJob does it to systemd in containers; what needs a kernel of its own is in
// the tests with machines.
func TestWhateverHappensTheMachinePowersOffAfterOneJob(t *testing.T) {
	base := unpackContainer(t)
	rootDo(t, "cp", "-r", filepath.Join(root, "runners", "common"), base+"/common")
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.happen(t, base)
		})
	}
}

func (f fault) happen(t *testing.T, base string) {
	server, address := serveGitHub(t, gh.Options{})
	_, jit := jitConfig(t, server, "ep-1")
	_, another := jitConfig(t, server, "ep-2")
	if f.job != "" {
		server.AddJobs(gh.JobSpec{Steps: []gh.StepSpec{{Run: f.job}}})
		// Nobody may start this one: the machine has had its job.
		server.AddJobs(gh.JobSpec{Name: "next", Steps: []gh.StepSpec{{Run: "true"}}})
	}
	c := newContainer(t, base, f.prepare, f.boot...)
	if f.call != "" {
		c.up()
		c.must("cat >/url", "http://"+address+"/"+repository)
		c.must("cat >/jit", jit)
		c.must("cat >/jit2", another)
		c.must(f.call, "")
	}
	if f.during != "" {
		c.until("the moment", func() bool {
			if f.job == "" {
				code, _ := c.sh("grep -q 'Listening for Jobs' /run/mayfly/listener.log", "")
				return code == 0
			}
			return strings.Contains(server.State().Jobs[0].Log, "started")
		})
		c.sh(f.during, "")
	}
	c.wantOff()
	for _, job := range server.State().Jobs {
		want := f.starts
		if job.Name == "next" {
			want = 0
		}
		if job.Starts != want {
			t.Errorf("job %q was started %d times, want %d; its log:\n%s", job.Name, job.Starts, want, job.Log)
		}
	}
	kept := c.keptFile("var/log/mayfly/result.json")
	if !strings.Contains(kept, f.result) || (f.result == "") != (kept == "") {
		t.Errorf("result %q, want %q; console:\n%s", kept, f.result, c.console.String())
	}
	if log := c.keptFile("var/log/mayfly/listener.log"); strings.Contains(log, jit) {
		t.Errorf("the log that is kept holds the identity:\n%s", log)
	}
}
