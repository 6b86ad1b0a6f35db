package world

import (
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/runners"
)

// seed starts a VM whose cloud-init drive holds this user-data.
func (r *room) seed(vmid int, userData string) {
	r.t.Helper()
	if err := r.Clone(r.t.Context(), 9000, vmid, false, func(string) {}); err != nil {
		r.t.Fatal(err)
	}
	r.powerWith(vmid, &pve.CloudInit{UserData: userData, MetaData: "instance-id: one\n"})
}

func (r *room) powerWith(vmid int, ci *pve.CloudInit) {
	r.t.Helper()
	m := pve.Machine{VMID: vmid, Name: "template-copy", CloudInit: ci, Exited: func() { r.off <- vmid }}
	if err := r.Start(r.t.Context(), m); err != nil {
		r.t.Fatal(err)
	}
}

// shipped fills in the shipped template.
func shipped(t *testing.T, v cloudinit.Values) string {
	t.Helper()
	template, err := cloudinit.Parse("shipped", runners.UserDataTemplate)
	if err != nil {
		t.Fatal(err)
	}
	data, err := template.Render(v)
	if err != nil {
		t.Fatal(err)
	}
	return data.Reveal()
}

func TestShippedUserDataServesAJob(t *testing.T) {
	for _, way := range []string{"jit", "token"} {
		t.Run(way, func(t *testing.T) {
			inRoom(t, GuestOptions{Boot: 9 * time.Second}, func(r *room) {
				const name = "ep-0123456789"
				v := cloudinit.Values{
					RepoURL: "https://github.example/NREL/EnergyPlus", Labels: []string{"self-hosted", "linux"}, Name: name, User: "runner",
					Pool: "ep", Jobs: runner.Policy{Repositories: []runner.Target{target}, DenyForks: true},
				}
				if way == "jit" {
					v.JITConfig = runner.NewSecret(r.mint(name))
				} else {
					token, err := r.client().CreateRegistrationToken(r.t.Context(), target)
					if err != nil {
						t.Fatal(err)
					}
					v.RegistrationToken = token.Token
				}
				r.gh.AddJobs(gh.JobSpec{Labels: []string{"linux"}, Duration: time.Minute, Steps: []gh.StepSpec{{Run: "hostname"}}})
				r.seed(201, shipped(t, v))
				time.Sleep(30 * time.Second)
				const copies = "/var/lib/cloud/instance/"
				for _, file := range []string{
					"/run/mayfly-seed/" + way, "/run/mayfly/identity", copies + "user-data.txt", copies + "user-data.txt.i",
					copies + "cloud-config.txt", copies + "obj.pkl",
				} {
					if _, err := r.ReadFile(201, file); err == nil {
						t.Errorf("%s is there in the job", file)
					}
				}
				r.powersOff(201, 3*time.Minute)
				job := r.gh.Jobs()[0]
				if job.Conclusion != "success" || job.RunnerName != name || !strings.Contains(job.Log, name) {
					t.Errorf("job: %s on %s; its log:\n%s", job.Conclusion, job.RunnerName, job.Log)
				}
			})
		})
	}
}

func TestVMThatCanNotBeginPowersOff(t *testing.T) {
	inRoom(t, GuestOptions{}, func(r *room) {
		r.seed(201, shipped(t, cloudinit.Values{
			RepoURL: "https://github.example/NREL/EnergyPlus", Labels: []string{"linux"}, Name: "ep-0123456789", User: "nobody",
			JITConfig: runner.NewSecret("eyJhIjoiYiJ9"),
		}))
		r.powersOff(201, time.Minute)
	})
}

func TestCloudInitAppliesUserDataOnceForEachInstance(t *testing.T) {
	const userData = `#cloud-config
hostname: given
write_files:
  - path: /srv/deep/plain
    content: "one\n"
  - { path: /srv/deep/plain, content: two, append: true }
  - { path: /srv/encoded, content: dGhyZWU=, encoding: b64 }
  - { path: /srv/unknown, content: x, encoding: gz+b64 }
runcmd:
  - nosuch command
  - [nosuch, command]
  - hostname >>/srv/log
  - [sh, -c, "echo again >>/srv/log"]
`
	inRoom(t, GuestOptions{}, func(r *room) {
		r.seed(201, userData)
		time.Sleep(time.Second)
		want := map[string]string{
			"/var/lib/cloud/instance/user-data.txt": userData,
			"/srv/deep/plain":                       "one\ntwo", "/srv/encoded": "three", "/srv/log": "given\nagain\n", "/etc/hostname": "given\n",
		}
		for file, text := range want {
			if got, err := r.ReadFile(201, file); err != nil || got != text {
				t.Errorf("%s: %q, %v; want %q", file, got, err, text)
			}
		}
		if _, err := r.ReadFile(201, "/srv/unknown"); err == nil {
			t.Error("a file of an unknown encoding was written")
		}
		log := func() string {
			time.Sleep(time.Second)
			text, _ := r.ReadFile(201, "/srv/log")
			if err := r.Stop(r.t.Context(), 201); err != nil {
				t.Fatal(err)
			}
			return text
		}
		log()
		r.powerWith(201, &pve.CloudInit{UserData: userData, MetaData: "instance-id: one\n"})
		if got := log(); got != "given\nagain\n" {
			t.Errorf("after a second start of the instance: %q", got)
		}
		r.powerWith(201, &pve.CloudInit{UserData: userData, MetaData: "instance-id: two\n"})
		if got := log(); got != "given\nagain\ngiven\nagain\n" {
			t.Errorf("as another instance: %q", got)
		}
	})
}

func TestUserDataMayBeAScriptOrNonsense(t *testing.T) {
	inRoom(t, GuestOptions{}, func(r *room) {
		r.seed(201, "#!/bin/sh\necho ran >/srv-log\n")
		r.seed(202, "#cloud-config\nwrite_files: [: ]\n")
		r.seed(203, "hello\n")
		time.Sleep(time.Second)
		if got, err := r.ReadFile(201, "/srv-log"); err != nil || got != "ran\n" {
			t.Errorf("script: %q, %v", got, err)
		}
		for _, vmid := range []int{202, 203} {
			r.ask(vmid, "guest-ping", nil) // it boots all the same
		}
	})
}
