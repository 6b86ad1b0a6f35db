package image

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

func TestAnImageIsBuiltOnEveryNodeAndPromoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		built := b.must(request())
		if built.Version != "20261125-1200" || !built.Promoted || len(built.Templates) != 2 {
			t.Errorf("built %+v", built)
		}
		b.wantTemplates("20261125-1200@pve1*", "20261125-1200@pve2*")
		b.wantClean()
		for _, vm := range b.pve.State().VMs {
			if vm.CreatedBy == "" || vm.Status == "destroyed" {
				continue
			}
			image, err := runner.ParseImage(vm.Config["description"])
			if err != nil || image.VMID != vm.VMID || image.Contract != 2 || image.RunnerVersion != sampleVersion || image.RunnerReleased.Day() != 12 {
				t.Errorf("VM %d says %+v, %v", vm.VMID, image, err)
			}
			if vm.Name != "mayfly-debian-12-20261125-1200" || vm.Pool != "ci-templates" || !vm.Template || vm.Config["ide2"] != "" ||
				!strings.Contains(vm.Config["scsi0"], "size=8G") || vm.Config["tags"] != "mayfly-image;mayfly-promoted" {
				t.Errorf("VM %d: %+v", vm.VMID, vm)
			}
		}
		if len(b.guests.seeds) != 2 {
			t.Fatalf("%d seeds", len(b.guests.seeds))
		}
		seed := b.guests.seeds[0]
		for file, words := range map[string]string{
			"common/provision.env": "IMAGE_VERSION='20261125-1200'\n", "common/provision.sh": "#!/bin/sh", "common/provision.d/10-user.sh": "#",
			"build.sh": "provision.sh", "user-data": "#cloud-config", "meta-data": "instance-id: mayfly-build-debian-12-20261125-1200",
		} {
			if !strings.Contains(seed[file], words) {
				t.Errorf("the seed's %s is %q", file, seed[file])
			}
		}
		var stages []Stage
		for _, e := range b.events {
			if e.New && (e.Node == "pve1" || e.Node == "") {
				stages = append(stages, e.Stage)
			}
		}
		want := []Stage{
			StageResolve, StageDownload, StageSeed, StageCreate, StageInstall, StageTemplate, StageCheck, StageDone, StagePromote, StagePrune, StageDone,
		}
		if !slices.Equal(stages, want) {
			t.Errorf("stages %v, want %v", stages, want)
		}
	})
}

func TestTheNewVersionTakesThePromotionAndTheOldestGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		var versions []string
		for range 3 {
			versions = append(versions, b.must(request()).Version)
			time.Sleep(24 * time.Hour)
		}
		b.wantTemplates(versions[2]+"@pve1*", versions[2]+"@pve2*", versions[1]+"@pve1", versions[1]+"@pve2")
		b.wantClean()
		if err := b.builder.Promote(t.Context(), "debian-12", versions[1]); err != nil {
			t.Fatal(err)
		}
		b.wantTemplates(versions[2]+"@pve1", versions[2]+"@pve2", versions[1]+"@pve1*", versions[1]+"@pve2*")
		if newest, err := b.builder.Newest(t.Context(), "debian-12"); err != nil || newest != versions[2] {
			t.Errorf("newest %s, %v", newest, err)
		}
		if err := b.builder.Promote(t.Context(), "debian-12", "20200101-0000"); err == nil || !strings.Contains(err.Error(), "only "+versions[2]+", "+versions[1]) {
			t.Errorf("%v", err)
		}
	})
}

func TestAVersionIsBuiltWithoutPromotionOnTheNodesAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		r := request()
		r.NoPromote, r.Nodes = true, []string{"pve2"}
		b.must(r)
		b.wantTemplates("20261125-1200@pve2")
		for node, words := range map[string]string{"pve3": `node "pve3": the cluster has none`} {
			r.Nodes = []string{node}
			b.wantFailure(t.Context(), r, words)
		}
	})
}

// TestAFailureAnywhereLeavesNothingAndKeepsTheOldVersion is what pools rely on.
func TestAFailureAnywhereLeavesNothingAndKeepsTheOldVersion(t *testing.T) {
	on2 := func(bad behaviour, whichSeeded bool) func(*bench) {
		return func(b *bench) {
			b.guests.behave = func(m pve.Machine, seeded bool) behaviour {
				if seeded == whichSeeded && m.VMID%2 == 0 { // on one of the nodes
					return bad
				}
				return behaviour{}
			}
		}
	}
	for _, tc := range []struct {
		name   string
		break_ func(*bench)
		change func(*Request)
		says   []string
	}{
		{"a bad checksum", nil, func(r *Request) { r.Source.Checksum.Hex = strings.Repeat("00", 32) }, []string{"checksum mismatch", "don't use it"}},
		{"a missing image", nil, func(r *Request) { r.Source.URL += ".gone" }, []string{"404"}},
		{"a failing script", on2(behaviour{exit: 3}, true), nil, []string{"the scripts ended with 3; their last words: ==> installs packages | E: no such package"}},
		{"scripts that never end", on2(behaviour{hang: true}, true), nil, []string{"have not ended after 1h0m0s; their last words"}},
		{"scripts that never end without an agent", on2(behaviour{hang: true, noAgent: true}, true), nil, []string{"guest agent has never answered"}},
		{"a failing script that nobody hears", on2(behaviour{exit: 1, noAgent: true}, true), nil, []string{errImage.Error()}},
		{"a machine that powers off early", on2(behaviour{off: true}, true), nil, []string{errImage.Error()}},
		{"a canary without agent", on2(behaviour{noAgent: true}, false), nil, []string{errImage.Error(), "wasn't ready 10m0s after its start"}},
		{"a canary that powers off", on2(behaviour{off: true, noAgent: true}, false), nil, []string{errImage.Error(), "powered off by itself"}},
		{"a canary with another runner", on2(behaviour{wrong: "2.300.0"}, false), nil, []string{errImage.Error(), `"2.300.0"`}},
		{"a full storage", func(b *bench) { b.guests.full = errors.New("no space left on device") }, nil, []string{"no space left"}},
		{"a killed import", fault("qmtemplate", "fail", "zfs error"), nil, []string{"make VM", "a template"}},
		{"a start that fails", fault("qmstart", "fail", "start failed: QEMU exited with code 1"), nil, []string{"QEMU exited"}},
		{"a clone that fails", fault("qmclone", "fail", "clone failed: lvcreate"), nil, []string{"clone VM"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				old := b.must(request()).Version
				time.Sleep(24 * time.Hour)
				if tc.break_ != nil {
					tc.break_(b)
				}
				r := request()
				if tc.change != nil {
					tc.change(&r)
				}
				b.wantFailure(t.Context(), r, append([]string{"build image debian-12: node pve"}, tc.says...)...)
				b.wantTemplates(old+"@pve1*", old+"@pve2*")
				b.wantClean()
			})
		})
	}
}

func fault(task, kind, reason string) func(*bench) {
	return func(b *bench) {
		if _, err := b.pve.Fault(pve.FaultSpec{Match: pve.FaultMatch{Task: task, Count: 1}, Kind: kind, Reason: reason}); err != nil {
			b.t.Fatal(err)
		}
	}
}

func TestWhereProxmoxMayNotDownloadTheImageIsUploaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		_, err := b.pve.Fault(pve.FaultSpec{
			Match: pve.FaultMatch{Path: "/nodes/*/storage/local/download-url", Count: -1}, Kind: "answer", Status: 403,
			Reason: "Permission check failed (/nodes/pve1, Sys.AccessNetwork)",
		})
		if err != nil {
			t.Fatal(err)
		}
		b.must(request())
		b.wantTemplates("20261125-1200@pve1*", "20261125-1200@pve2*")
		b.wantClean()
		if n := b.web.asked.Load(); n != 1 {
			t.Errorf("the vendor was asked %d times", n)
		}
	})
}

func TestAKeptDownloadServesTheNextBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.KeepDownload = true })
		b.must(request())
		asked := b.web.asked.Load()
		time.Sleep(time.Hour)
		b.must(request())
		if n := b.web.asked.Load(); n != asked {
			t.Errorf("the vendor was asked %d times more", n-asked)
		}
	})
}

func TestTwoBuildsOfOneImageNeverRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		first := make(chan error, 1)
		go func() {
			_, err := b.builder.Build(t.Context(), request())
			first <- err
		}()
		time.Sleep(90 * time.Second)
		if err := b.wantFailure(t.Context(), request(), "another build of this image is under way", "--take-over"); !errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		b.wantTemplates("20261125-1200@pve1*", "20261125-1200@pve2*")
		b.wantClean()
	})
}

// TestTheDocumentedPrivilegesAreEnough builds with a token that may do no more than docs/image-build.md says: with all of
// them, and without those that it says can be done without.
func TestTheDocumentedPrivilegesAreEnough(t *testing.T) {
	for name, tc := range map[string]struct {
		files, node string
		left        bool
	}{
		"all":                        {"MayflyISO", "MayflyDownload", false},
		"without Datastore.Allocate": {"MayflyUpload", "MayflyDownload", true},
		"without Sys.AccessNetwork":  {"MayflyISO", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) {
					s.least = true
					roles := map[string]string{
						"/pool/ci-templates": "MayflyImage", "/storage/local-lvm": "CIRunnerDS", "/storage/local": tc.files,
						"/sdn/zones/localnetwork/vmbr0": "PVESDNUser",
					}
					if tc.node != "" {
						roles["/nodes"] = tc.node
					}
					s.pve.Tokens = []pve.Token{{ID: "mayfly-image@pve!build", Secret: "01234567-89ab-cdef-0123-456789abcdef", Roles: roles}}
				})
				b.must(request())
				b.wantTemplates("20261125-1200@pve1*", "20261125-1200@pve2*")
				time.Sleep(24 * time.Hour)
				b.must(request())
				if !tc.left {
					b.wantClean()
					return
				}
				seeds := 0
				files, err := b.client.Volumes(t.Context(), "pve1", "local", "iso")
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range files {
					if strings.HasSuffix(f.Name(), seedEnd) {
						if seeds++; f.Size > 60<<10 {
							t.Errorf("%s has %s", f.ID, f.Size)
						}
					}
				}
				if seeds != 2 {
					t.Errorf("%d seeds are left", seeds)
				}
			})
		})
	}
}

func TestSharedStoragesAreUsedOnceAndByAll(t *testing.T) {
	for name, tc := range map[string]struct {
		disks, files string
		keep         bool
		want         []string
	}{
		"disks that all nodes see":       {"ceph", "local", false, []string{"20261125-1200@pve1*"}},
		"files that all nodes see":       {"local-lvm", "nas", false, []string{"20261125-1200@pve1*", "20261125-1200@pve2*"}},
		"files that all nodes see, kept": {"local-lvm", "nas", true, []string{"20261125-1200@pve1*", "20261125-1200@pve2*"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) {
					s.spec.Storage, s.spec.FilesStorage, s.spec.KeepDownload = tc.disks, tc.files, tc.keep
					s.pve.Storages = []pve.Storage{
						{ID: "ceph", Type: "rbd", Content: []string{"images"}, Shared: true},
						{ID: "nas", Type: "nfs", Content: []string{"iso", "import"}, Shared: true},
					}
				})
				b.must(request())
				b.wantTemplates(tc.want...)
				b.wantClean()
				for _, content := range []string{"iso", "import"} {
					files, err := b.client.Volumes(t.Context(), "pve2", "nas", content)
					if kept := tc.keep && content == "import"; err != nil || len(files) != map[bool]int{true: 1}[kept] {
						t.Errorf("on the shared storage: %+v, %v", files, err)
					}
				}
			})
		})
	}
}

func TestStoragesThatCantBeUsedAreToldBeforeAnythingIsMade(t *testing.T) {
	for says, change := range map[string]func(*Spec){
		`storage "nothing" of node pve1`:                      func(s *Spec) { s.Storage = "nothing" },
		`storage local-lvm doesn't take content "import"`:     func(s *Spec) { s.FilesStorage = "local-lvm" },
		`pvesm set local-lvm --content images,rootdir,import`: func(s *Spec) { s.FilesStorage = "local-lvm" },
		`storage local doesn't take content "images"`:         func(s *Spec) { s.Storage = "local" },
	} {
		t.Run(says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) { change(&s.spec) })
				b.wantFailure(t.Context(), request(), says)
				for _, task := range b.pve.State().Tasks {
					t.Errorf("task %s", task.UPID)
				}
			})
		})
	}
}
