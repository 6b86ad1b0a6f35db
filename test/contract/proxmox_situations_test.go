package contract_test

import (
	"net/http"
	"regexp"
	"strings"
)

// situations are the states in which captures were made, by the capture's name; the first that matches holds. Steps are
// separated by "; ":
//
//	METHOD /path k=v …   a request of the administrator's, and the end of its task
//	begin METHOD /path … the same, without waiting for its task
//	as NAME              the request of another capture; its task or process id replaces the recorded one
//	run                  the VM that the capture is about runs
//	off                  it doesn't, although agent calls need it
//	none                 there is no such VM
//	instead OLD NEW      the capture's request with another VMID
//	token NAME           who asks: admin, fleet, a whole header or "-" for nobody
//	iso NAME             a file on the storage local
//	hold KIND            the next worker of this kind stops with its locks held
//	slow KIND            it takes 300 ms to go on
//	kill KIND POINT      it dies there
//	move VMID NODE       root moves it to another node
//	shared NODE VMID     a template on shared storage
//	lock VMID NAME       its configuration holds this lock
//	unpool               the template is in no resource pool
//	later                12 s pass: the next broadcast was made
var situations = []struct {
	name  *regexp.Regexp
	steps string
}{
	{re(`agent-exec-form-repeated-status`), "run; as agent-exec-form-repeated"},
	{re(`agent-exec-input-data-status`), "run; as agent-exec-input-data"},
	{re(`agent-file-read`), "run; as agent-file-write"},
	{re(`agent-file-read-encode0`), "run; as agent-file-write-encode0"},
	{re(`agent-not-configured-ping`), "off; PUT /nodes/pve1/qemu/180/config delete=agent"},
	{re(`agent-ping-notrunning`), "instead 101 207; none"},
	{re(`agent-ping-vmstopped`), "off"},
	{re(`auth-(badformat)`), "token PVEAPIToken=x"},
	{re(`auth-(badname|badsecret|expired|nouser|off)`), "token PVEAPIToken=ci@pve!nosuch=00000000-0000-4000-8000-000000000000"},
	{re(`auth-lowercase-scheme`), "token pveapitoken=ci@pve!x=0"},
	{re(`auth-wrongscheme`), "token Bearer x"},
	{re(`auth-none`), "token -"},
	{re(`x2-lxc-create-(keyctl|privileged)|x2-lxc-config-after-delete`), "none; token fleet"},
	{re(`x2-lxc-(get-config-only-options|config-get-noaudit|put-(cores|description|tags)-only-.*)`), "token options"},
	{re(`x2-lxc-kill-(config|delete)`), "none; POST /nodes/pve1/lxc vmid=204 ostemplate=local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst rootfs=local-lvm:1; token fleet"},
	{re(`x2-lxc-(delete-running|put-tags-running|start-running|stop.*)`), "run"},
	{re(`cicustom-missing-snippet-adddrive`), "PUT /nodes/pve1/qemu/180/config cicustom=user%3Dlocal:snippets/nosuch.yaml"},
	{re(`cicustom-missing-snippet-start`), "PUT /nodes/pve1/qemu/180/config ide0=local-lvm:cloudinit; PUT /nodes/pve1/qemu/180/config cicustom=user%3Dlocal:snippets/nosuch.yaml"},
	{re(`clone-existing-vmid`), "POST /nodes/pve1/qemu/9000/clone newid=101"},
	{re(`clone-inflight-(clone-same|config|current|start|nextid|resources)`), "none; begin POST /nodes/pve1/qemu/9000/clone newid=111 full=1"},
	{re(`poolscoped-task-other|task-status-other-token`), "token admin; as clone-full; token nopriv"},
	{re(`poolscoped-nodes`), "token nopriv"},
	{re(`x2-nosys-(tasks-(active.*|all)|taskstatus)`), "as x2-nosys-clone"},
	{re(`x2-nosys-(tasks.*|tasklog-first-line)`), "as x2-nosys-clone; later"},
	{re(`x2-runner-sees-nosys-tasks-active`), "token nosys; as x2-nosys-clone; token fleet"},
	{re(`clone-nopriv|sep-token-root-noacl`), "unpool; token fleet"},
	{re(`clone-race-same-id-[01]`), "slow qmclone; begin POST /nodes/pve1/qemu/9000/clone newid=170"},
	{re(`config-get-nopriv`), "unpool; token fleet"},
	{re(`config-pending-running`), "run; PUT /nodes/pve1/qemu/101/config cores=1"},
	{re(`config-put-cdrom|poolscoped-config-cdrom|config-put-running-cdrom`), "iso seed-100.iso; iso seed-101.iso; iso seed-130.iso"},
	{re(`config-put-cloudinit-second`), "PUT /nodes/pve1/qemu/102/config ide0=local-lvm:cloudinit"},
	{re(`create-import-from`), "as upload-import-qcow2; later"},
	{re(`delete-protected`), "PUT /nodes/pve1/qemu/102/config protection=1"},
	{re(`delete-running|template-running|reset|reboot-timeout|start-running`), "run"},
	{re(`delete-template-.*`), "shared pve1 9004; POST /nodes/pve1/qemu/9004/clone newid=101; instead 9000 9004"},
	{re(`flock-.*`), "hold qmstart; begin POST /nodes/pve1/qemu/160/status/start"},
	{re(`x2-lease-create-exists|x2-lease-(list|get(-audit|-use|-nopriv)?|put-(right|bad|zero|no)-digest|put-(no-map|newline|desc-.*|delete-.*|map-.*|other-.*|use-.*|audit-.*))`), "POST /cluster/mapping/dir id=mf-lease map=node%3Dpve1,path%3D/tmp description=holder%3DSECRETVAL1"},
	{re(`x2-lease-put-stale-.*`), "POST /cluster/mapping/dir id=mf-lease map=node%3Dpve1,path%3D/tmp description=holder%3DSECRETVAL2"},
	{re(`x2-lease-get-2`), "POST /cluster/mapping/dir id=mf-lease map=node%3Dnosuchnode,path%3D/tmp description=base64ok%3DQUJD%2B/%3D"},
	{re(`linkedclone-of-nontemplate|template`), "POST /nodes/pve1/qemu/9000/clone newid=140 full=1; instead 9000 140; none"},
	{re(`locked-(status-current|stop|shutdown)`), "run; lock 101 backup"},
	{re(`locked-.*`), "lock 101 backup"},
	{re(`pool-add-vm-inother`), "POST /pools poolid=p2; PUT /pools poolid=p2 vms=9000 allow-move=1"},
	{re(`pool-add-vm|pool-del-vm-notmember|pool-create-exists|pool-delete`), "POST /pools poolid=p2"},
	{re(`pool-create-403`), "token fleet"},
	{re(`pool-del-vm`), "POST /pools poolid=p2; PUT /pools poolid=p2 vms=9000 allow-move=1"},
	{re(`pool-delete-notempty`), "POST /pools poolid=p2; POST /nodes/pve1/qemu/9000/clone newid=101 pool=p2"},
	{re(`pool-readd`), "unpool"},
	{re(`poolscoped-clone-nopool`), "token fleet"},
	{re(`poolscoped-agent-ping`), "instead 130 207; none"},
	{re(`poolscoped-current|status-current-(running.*|agent-running|paused)`), "run"},
	{re(`poolscoped-delete-iso|storage-delete-(disk-of-vm|inuse-iso|iso-ci)`), "token fleet"},
	{re(`task-list-active|task-log-limit`), "as clone-full"},
	{re(`task-list-vmid`), "POST /nodes/pve1/qemu/101/status/start"},
	{re(`poolscoped-tasks|task-list.*|task-status-encoded`), "as clone-full; later"},
	{re(`task-status-running`), "as clone-inflight"},
	{re(`poolscoped-vm-outside-pool`), "PUT /pools poolid=ci vms=102 delete=1; token fleet"},
	{re(`qemu-create`), "DELETE /nodes/pve1/qemu/9000"},
	{re(`shutdown-timeout`), "instead 101 207; none"},
	{re(`start-bridge-missing`), "PUT /nodes/pve1/qemu/181/config net0=virtio,bridge%3Dvmbr77"},
	{re(`start-memory-too-much`), "PUT /nodes/pve1/qemu/181/config memory=900000"},
	{re(`start-with-missing-iso`), "iso seed-130.iso; PUT /nodes/pve1/qemu/181/config ide2=local:iso/seed-130.iso,media%3Dcdrom; DELETE /nodes/pve1/storage/local/content/local:iso/seed-130.iso"},
	{re(`x2-clone-running.*`), "POST /nodes/pve1/qemu/9000/clone newid=119 pool=ci; none; begin POST /nodes/pve1/qemu/9000/clone newid=120 full=1 pool=ci"},
	{re(`x2-clone-done.*`), "POST /nodes/pve1/qemu/9000/clone newid=120 pool=ci; none"},
	{re(`x2-kill-(p[2345]-clone|p[45]-clone-again|d[123]-delete)`), ""},
	{re(`x2-kill-p5-delete-wide`), "none"},
	{re(`x2-kill-p1-.*`), "kill qmclone locked; POST /nodes/pve1/qemu/9000/clone newid=141 pool=ci; none"},
	{re(`x2-kill-p2-.*`), "kill qmclone copy; POST /nodes/pve1/qemu/9000/clone newid=142 pool=ci; none"},
	{re(`x2-kill-p3-storage-content`), "kill qmclone copied; POST /nodes/pve1/qemu/9000/clone newid=144 pool=ci; token admin"},
	{re(`x2-kill-p4-storage-content`), "kill qmclone pool; POST /nodes/pve1/qemu/9000/clone newid=145 pool=ci; token admin"},
	{re(`x2-kill-p3-.*`), "kill qmclone copied; POST /nodes/pve1/qemu/9000/clone newid=144 pool=ci; none"},
	{re(`x2-kill-p4-.*`), "kill qmclone pool; POST /nodes/pve1/qemu/9000/clone newid=145 pool=ci; none"},
	{re(`x2-kill-p5-.*`), "kill qmclone done; POST /nodes/pve1/qemu/9000/clone newid=147 pool=ci; none"},
	{re(`x2-kill-d1-.*`), "POST /nodes/pve1/qemu/9000/clone newid=181 pool=ci; none; kill qmdestroy copy; DELETE /nodes/pve1/qemu/181"},
	{re(`x2-kill-d2-.*`), "POST /nodes/pve1/qemu/9000/clone newid=182 pool=ci; none; kill qmdestroy copied; DELETE /nodes/pve1/qemu/182"},
	{re(`x2-kill-d3-.*`), "POST /nodes/pve1/qemu/9000/clone newid=183 pool=ci; none; kill qmdestroy pool; DELETE /nodes/pve1/qemu/183"},
	{re(`x2-lock-clone-.*`), "lock 160 clone"},
	{re(`x2-lock-create-.*`), "lock 160 create"},
	{re(`x2-lock-snapshot-.*`), "lock 160 snapshot"},
	{re(`x2-lock-suspending-.*`), "lock 160 suspending"},
	{re(`x2-lockbackup-running-.*`), "run; lock 160 backup"},
	{re(`x2-lockbackup-stopped-.*`), "off; lock 160 backup"},
	{re(`x2-lockbackup-template-.*`), "lock 9000 backup"},
	{re(`x2-lost-delete-config-after`), "DELETE /nodes/pve1/qemu/130"},
	{re(`x2-taskstop-delete`), "begin POST /nodes/pve1/qemu/9000/clone newid=170 pool=ci full=1; token admin"},
	{re(`x2-tasks-(errors|statusfilter)`), "POST /nodes/pve1/qemu/9000/status/start"},
	{re(`x2-template-flock-clone`), "hold qmstart; begin POST /nodes/pve1/qemu/9000/status/start"},
	{re(`x3-(clone-id-on-other-node-wide|create-id-on-other-node|nextid-id-on-other-node)`), "POST /nodes/pve2/qemu/9001/clone newid=201"},
	{re(`x3-clone-id-on-other-node-shared-full`), "POST /nodes/pve2/qemu/9001/clone newid=202; shared pve1 9004"},
	{re(`x3-clone-race-two-nodes-\d+-pve1`), "begin POST /nodes/pve3/qemu/9002/clone newid=500"},
	{re(`x3-clone-race-two-nodes-\d+-pve3`), "instead 9005 9002; begin POST /nodes/pve1/qemu/9000/clone newid=500"},
	{re(`x3-clone-shared-template-linked`), "shared pve2 9003"},
	{re(`x3-clone-target-shared-.*`), "shared pve1 9004"},
	{re(`x3-clone-target-unknown-node`), "instead 9004 9000"},
	{re(`x3-(proxy-ok-config|clone-template-on-pve2.*)`), "instead 9002 9001"},
	{re(`x3-running-task-on-pve2`), "instead 9102 9001"},
	{re(`x3-moved-old-node-clone`), "POST /nodes/pve3/qemu/9002/clone newid=302 pool=ci; move 302 pve1; token fleet"},
	{re(`x3-moved-resources-12s`), "POST /nodes/pve3/qemu/9002/clone newid=302 pool=ci; move 302 pve1; later"},
	{re(`x3-moved-(old-node|new-node|resources)-.*`), "none; POST /nodes/pve3/qemu/9002/clone newid=302 pool=ci; move 302 pve1"},
	{re(`x3-start-on-pve2`), "POST /nodes/pve2/qemu/9001/clone newid=201"},
	{re(`storage-content-volume`), "iso seed-100.iso"},
	{re(`storage-content-(all|before.*|vmid)`), "POST /nodes/pve1/qemu/9000/clone newid=101"},
	{re(`storage-delete-base-in-use-root`), "shared pve1 9004; POST /nodes/pve1/qemu/9004/clone newid=101"},
}

func re(name string) *regexp.Regexp { return regexp.MustCompile("^(?:" + name + ")$") }

// left are the captures that aren't asked, and why. Every method has others that are.
var left = []struct {
	name   *regexp.Regexp
	reason string
}{
	{re(`agent-exec-(json-array|running|status|status-stillrunning|status-second-read)`), "blank machines have no shell and no sleep; guests that have are tried in sim/world and sim/pve/qemu"},
	{re(`(config-put-hookscript|update-locked-by-param).*root.*`), "root@pam's own token may set this, and the stand-in has none"},
	{re(`node-offline`), "a node that the cluster never resolved"},
	{re(`pvedaemon-down.*`), "a daemon that is down is a fault of the test's own making"},
	{re(`proto-plain-http-on-tls-port`), "in process there is no TLS port; sim/wire tests it"},
	{re(`proto-upload-expect-100`), "the capture holds only the body's beginning"},
	{re(`upload-iso-checksum-taskstatus`), "the capture holds another file than the checksum is of"},
	{re(`cicustom-ok`), "the stand-in has no snippet, and the API takes none"},
	{re(`x2-mac-put-no-sdnuse`), "asked with a token that lacks one privilege of the fleet's"},
	{re(`lxc-clone-.*|(suspend|resume)-task(log|status)`), "the task of a call that the stand-in does not serve"},
	{re(`x2-lxc-current-running|lxc-start-task(log|status)|x2-lxc-start-x-tasklog`), "the recording's container runtime did not let the server look into it"},
	{re(`x2-lxc-(upload.*|list-vztmpl)`), "the capture leaves out the file"},
	{re(`x2-lease-put-(empty-description|json)`), "with a digest of a file that was not recorded whole"},
	{re(`x3-(quorum-lost|other-node-died)-lease-put`), "the cluster lost its quorum, or a node, which the stand-in never does"},
	{re(`x2-taskstop-task(log|status)`), "tells how the recording's qemu-img ended"},
	{re(`x2-(daemonstop|nodecrash)-.*`), "a daemon or a node that is down is a fault of the test's own making"},
	{re(`x2-kill-p2-storage-content.*`), "asks for a storage of the recording's own"},
	{re(`x2-lost-(agent-exec|clone|delete|start)`), "there the client cut the connection and read no reply"},
	{re(`x2-lost-.*-tasks-since|x2-nosys-tasks-all-since`), "asks for the tasks since a moment of the recording"},
	{re(`x2-lost-agent-exec-(effect|guess-pid2)`), "the program ran in the recording's guest"},
	{re(`x2-mac-put-running.*`), "the recording's guest did not let go of its network device"},
	{re(`x3-(b|reboot|fast-reboot|split|other-node)-.*`), "a node died, froze or restarted; the stand-in's nodes don't, single requests get faults"},
	{re(`x3-quorum-.*`), "the cluster lost its quorum, which the stand-in never does"},
	{re(`x3-moved-off-dead-node.*|x3-migrate-.*`), "a dead node's VM, and a call that the stand-in does not serve"},
	{re(`x3-running-task-on-pve2-status`), "a task of the recording's node pve2"},
}

// leftOut is the reason why a capture isn't asked, "" for none.
func leftOut(c capture) string {
	for _, l := range left {
		if l.name.MatchString(c.Name) {
			return l.reason
		}
	}
	return ""
}

// onDisks names the stand-in's storage for disks where the recorded cluster had one directory for everything.
func onDisks(s string) string {
	return strings.NewReplacer(
		"local%3Acloudinit", "local-lvm%3Acloudinit",
		"scsi0=local%3A", "scsi0=local-lvm%3A", "scsi1=local%3A", "scsi1=local-lvm%3A", "format=qcow2", "format=raw",
		"format%3Dqcow2", "format%3Draw",
		"vmid=200&hostname=ct1", "vmid=206&hostname=ct1", "/lxc/200", "/lxc/206", // the stand-in has a VM 200
		"rootfs=local%3A", "rootfs=local-lvm%3A", "vztmpl%2Fx.tar", "vztmpl%2Fdebian-12-standard_12.12-1_amd64.tar",
		"vztmpl%2Fctl-1.2.3_amd64.tar", "vztmpl%2Fdebian-12-standard_12.12-1_amd64.tar",
		"vztmpl%2Fdebian-12-mini_1_amd64.tar", "vztmpl%2Fdebian-12-standard_12.12-1_amd64.tar",
		"/storage/local/content/local:9000/base-9000-disk-1.qcow2", "/storage/shr/content/shr:9004/base-9004-disk-0.qcow2",
	).Replace(localDisks.ReplaceAllString(s, "storage=local-lvm$1"))
}

var localDisks = regexp.MustCompile(`\bstorage=local(&|$)`)

// loose are fields that depend on what a VM or a node holds, not on the call.
func loose(c capture) func(string) bool {
	path, _, _ := strings.Cut(c.Path, "?")
	var free []string
	switch {
	case strings.HasSuffix(path, "/config") && c.Method == http.MethodGet && !strings.Contains(c.Name, "inflight"):
		return func(at string) bool { return at != ".data.digest" }
	case path == "/access/permissions":
		return func(string) bool { return true }
	case strings.HasSuffix(path, "/status/current"):
		free = []string{".tags", ".template", ".agent", ".serial", ".nics", ".clipboard"}
	case strings.HasSuffix(path, "/resources"):
		return func(at string) bool {
			return strings.HasPrefix(at, ".data[]") && at != ".data[].id" && at != ".data[].type"
		}
	case strings.HasSuffix(path, "/status"):
		free = []string{".secureboot"}
	case strings.HasSuffix(path, "/content"):
		free = []string{".parent", ".used", ".vmid"}
	case strings.HasPrefix(path, "/pools"):
		free = []string{".comment", ".tags", ".lock", ".template"}
	case strings.HasSuffix(path, "/qemu"):
		return func(at string) bool { return at != ".data[].vmid" && at != ".data[].status" }
	}
	return func(at string) bool {
		for _, f := range free {
			if strings.HasSuffix(at, f) || strings.Contains(at, f+".") {
				return true
			}
		}
		return false
	}
}

// onNode is onDisks for paths; the second recording called its template 9100.
func onNode(path string) string { return strings.ReplaceAll(onDisks(path), "9100", "9000") }
