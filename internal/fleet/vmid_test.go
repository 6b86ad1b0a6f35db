package fleet

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestVMIDsAreUsedLeastRecentlyUsedFirst(t *testing.T) {
	s := testSpec()
	s.VMIDs = Range{200, 203}
	s.MaxRunners = 1
	used := map[int]time.Time{200: noon.Add(-time.Hour), 202: noon.Add(-2 * time.Hour), 203: noon.Add(-3 * time.Hour)}
	var order []int
	free := newVMIDs(s, nil, used, noon)
	for range 4 {
		id, ok := free.next()
		if !ok {
			t.Fatal("none free")
		}
		order = append(order, id)
	}
	if id, ok := free.next(); ok {
		t.Fatalf("%d is free, too", id)
	}
	want := []int{201, 203, 202, 200}
	for i := range want {
		if order[i] != want[i] {
			t.Fatalf("order %v, want %v", order, want)
		}
	}
}

func TestVMIDRestsBeforeItIsUsedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := testSpec()
		s.MaxRunners = rapid.IntRange(1, 40).Draw(t, "max")
		s.VMIDs = Range{200, 199 + rapid.IntRange(1, 100).Draw(t, "size")}
		rest := cooldown(s)
		if rest < minCooldown || rest > s.Timing.Cooldown {
			t.Fatalf("rests %s, want %s to %s", rest, minCooldown, s.Timing.Cooldown)
		}
		used := map[int]time.Time{}
		for id := s.VMIDs.Start; id <= s.VMIDs.End; id++ {
			used[id] = noon.Add(-time.Duration(rapid.Int64Range(0, int64(10*time.Minute)).Draw(t, "ago")))
		}
		free := newVMIDs(s, nil, used, noon)
		id, ok := free.next()
		if ok && noon.Sub(used[id]) < rest {
			t.Fatalf("VMID %d used again after %s, rest is %s", id, noon.Sub(used[id]), rest)
		}
		if !ok && !free.soonest.After(noon) {
			t.Fatalf("none free, and the next one at %s isn't later", free.soonest)
		}
	})
}

func TestMACKeepsTheRestOfNet0(t *testing.T) {
	mac := MAC("test", 205)
	got, ok := withMAC("virtio=BC:24:11:00:11:22,bridge=vmbr0,firewall=1,tag=5", mac)
	want := "virtio=02:" + got[len("virtio=02:"):len("virtio=02:00:00:00:00:00")] + ",bridge=vmbr0,firewall=1,tag=5"
	if !ok || got != want {
		t.Errorf("net0 %q, %v", got, ok)
	}
	if mac.String() != MAC("test", 205).String() || mac.String() == MAC("test", 206).String() || mac.String() == MAC("other", 205).String() {
		t.Error("the address must follow from installation and VMID")
	}
	if mac[0]&1 != 0 || mac[0]&2 == 0 {
		t.Errorf("%s isn't a locally administered unicast address", mac)
	}
	if _, ok := withMAC("bridge=vmbr0", mac); ok {
		t.Error("a value without an address was rewritten")
	}
}
