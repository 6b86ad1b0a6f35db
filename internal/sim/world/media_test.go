package world

import (
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// disc is a NoCloud image with the shipped user-data.
func disc(r *room, name string) []byte {
	r.t.Helper()
	image, err := cloudinit.Seed{MetaData: "instance-id: " + name + "\n", UserData: shipped(r.t, cloudinit.Values{
		RepoURL: "https://github.example/NREL/EnergyPlus", Labels: []string{"self-hosted"}, Name: name, User: "runner",
		JITConfig: runner.NewSecret(r.mint(name)),
	})}.ISO()
	if err != nil {
		r.t.Fatal(err)
	}
	return image
}

func (r *room) powerWithMedia(vmid int, media map[string][]byte) {
	r.t.Helper()
	if err := r.Clone(r.t.Context(), 9000, vmid, false, func(string) {}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.Start(r.t.Context(), pve.Machine{VMID: vmid, Name: "x", Media: media, Exited: func() { r.off <- vmid }}); err != nil {
		r.t.Fatal(err)
	}
}

func TestAnUploadedSeedServesAJob(t *testing.T) {
	inRoom(t, GuestOptions{Boot: 9 * time.Second}, func(r *room) {
		const name = "ep-0123456789"
		r.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted"}, Duration: time.Minute})
		r.powerWithMedia(201, map[string][]byte{"ide0": cloudinit.EmptyISO(), "ide2": disc(r, name), "ide3": []byte("no image")})
		time.Sleep(30 * time.Second)
		if _, err := r.ReadFile(201, seedDir+"/jit"); err == nil {
			t.Error("the identity is left in the guest")
		}
		r.powersOff(201, 3*time.Minute)
		if job := r.gh.Jobs()[0]; job.Conclusion != "success" || job.RunnerName != name {
			t.Errorf("job: %s on %s", job.Conclusion, job.RunnerName)
		}
	})
}

// TestASeedThatIsEjectedBeforeTheGuestReadItIsNotSeen keeps dispatchers from ejecting too early.
func TestASeedThatIsEjectedBeforeTheGuestReadItIsNotSeen(t *testing.T) {
	inRoom(t, GuestOptions{Boot: 9 * time.Second}, func(r *room) {
		const name = "ep-0123456789"
		r.powerWithMedia(201, map[string][]byte{"ide2": disc(r, name)})
		time.Sleep(2 * time.Second)
		if err := r.ChangeMedium(t.Context(), 201, "ide2", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := r.ReadFile(201, "/var/lib/cloud/instance/user-data.txt"); err == nil {
			t.Error("it was read after it had been ejected")
		}
	})
}

func TestOtherMediaAreNoSeeds(t *testing.T) {
	for name, image := range map[string][]byte{
		"empty": cloudinit.EmptyISO(), "nothing": {}, "text": []byte(strings.Repeat("x", 100_000)), "cut": cloudinit.EmptyISO()[:34000],
	} {
		if seed, err := readSeed(image); seed != nil || name == "empty" && err != nil {
			t.Errorf("%s: %v, %v", name, seed, err)
		}
	}
}
