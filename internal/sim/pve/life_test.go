package pve

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// fleetClient is Mayfly's own client with the fleet's token.
func fleetClient(t *testing.T, s *Server, o proxmox.Options) *proxmox.Client {
	t.Helper()
	info := s.Info()
	o.TokenID, o.TokenSecret = info.TokenID, runner.NewSecret(info.TokenSecret)
	c, err := proxmox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// liveAndDie takes one VM through its whole life with the fleet's token.
func liveAndDie(t *testing.T, c *proxmox.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	wait := func(upid proxmox.UPID, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.WaitTask(ctx, upid); err != nil {
			t.Fatal(err)
		}
	}
	template, err := c.VMConfig(ctx, "pve1", templateID)
	if err != nil {
		t.Fatal(err)
	}
	wait(c.Clone(ctx, "pve1", templateID, proxmox.CloneOptions{NewID: 270, Name: "r270", Description: "mine", Pool: poolRunners}))
	cfg, err := c.VMConfig(ctx, "pve1", 270)
	if err != nil {
		t.Fatal(err)
	}
	for opt, want := range map[string]string{"name": "r270", "description": "mine", "template": "", "lock": "", "cores": "2"} {
		if got := cfg.Values[opt]; got != want {
			t.Errorf("clone's %s is %q, want %q", opt, got, want)
		}
	}
	for _, opt := range []string{"net0", "smbios1", "vmgenid", "scsi0"} {
		if cfg.Values[opt] == "" || cfg.Values[opt] == template.Values[opt] {
			t.Errorf("clone's %s is %q, the template's %q", opt, cfg.Values[opt], template.Values[opt])
		}
	}
	if err := c.SetConfig(ctx, "pve1", 270, map[string]string{"tags": "b;a", "cores": "4", "memory": "2048"}, nil, cfg.Digest); err != nil {
		t.Fatal(err)
	}
	wait(c.Start(ctx, "pve1", 270))
	if st, err := c.VMStatus(ctx, "pve1", 270); err != nil || st.Status != "running" {
		t.Errorf("status %+v, %v", st, err)
	}
	if err := c.AgentPing(ctx, "pve1", 270); err != nil {
		t.Error(err)
	}
	pid, err := c.AgentExec(ctx, "pve1", 270, []string{"/bin/cat"}, []byte("identity"))
	if err != nil {
		t.Fatal(err)
	}
	if st, err := c.AgentExecStatus(ctx, "pve1", 270, pid); err != nil || !st.Exited || st.Out != "identity" {
		t.Errorf("exec status %+v, %v", st, err)
	}
	wait(c.Shutdown(ctx, "pve1", 270, time.Minute))
	if st, err := c.VMStatus(ctx, "pve1", 270); err != nil || st.Status != "stopped" {
		t.Errorf("status after shutdown %+v, %v", st, err)
	}
	wait(c.Delete(ctx, "pve1", 270))
	if _, err := c.VMConfig(ctx, "pve1", 270); err == nil || !strings.Contains(err.Error(), "Permission check failed (/vms/270, VM.Audit)") {
		t.Errorf("config of a destroyed VM: %v; the token's rights go with the VM", err)
	}
}

// checkLife looks for the whole life in the state, and that nothing else was touched.
func checkLife(t *testing.T, s *Server) {
	t.Helper()
	decoys := map[string]int{}
	seen := false
	for _, v := range s.VMs() {
		if v.DigestStart != v.DigestNow {
			t.Errorf("VM %d (%s) was touched", v.VMID, v.Decoy)
		}
		if v.Decoy != "" {
			decoys[v.Decoy+"/"+v.Pool]++
			if v.VMID < 200 || v.VMID > 299 {
				t.Errorf("decoy %d lies outside the fleet's range", v.VMID)
			}
		}
		if v.VMID == 270 {
			seen = v.Status == "destroyed" && v.Source == templateID && v.CreatedBy == fleetToken && v.DestroyedBy == fleetToken &&
				v.DestroyedAt != nil && len(v.StartedAt) == 1 && len(v.StoppedAt) == 1 && v.Config["memory"] == "2048" && v.Config["tags"] == "a;b"
		}
	}
	if !seen {
		t.Error("the life of VM 270 isn't in the state")
	}
	for _, d := range decoyPlan {
		if decoys[d.kind+"/"+poolRunners] != 1 || decoys[d.kind+"/"] != 1 {
			t.Errorf("decoy %q: want one in the pool and one outside, have %v", d.kind, decoys)
		}
	}
	for _, r := range s.State().Requests {
		if r.Token != fleetToken || r.At.IsZero() {
			t.Errorf("request without token or time: %+v", r)
		}
	}
}

func TestFleetTokenTakesAVMThroughItsWholeLife(t *testing.T) {
	t.Run("in process", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, s *Server) {
			liveAndDie(t, fleetClient(t, s, proxmox.Options{Endpoints: []string{"https://pve1:8006"}, Transport: s.RoundTripper()}))
			checkLife(t, s)
		})
	})
	t.Run("over TLS", func(t *testing.T) {
		s := New(Options{Timing: DemoTiming()})
		defer s.Close()
		url, err := s.Listen()
		if err != nil {
			t.Fatal(err)
		}
		if s.Info().URL != url {
			t.Errorf("info names %s, the server listens on %s", s.Info().URL, url)
		}
		liveAndDie(t, fleetClient(t, s, proxmox.Options{Endpoints: []string{url}, Fingerprint: s.Info().Fingerprint}))
		checkLife(t, s)
	})
}

// What was recorded of a clone on its way (captures clone-inflight-*, x2-clone-running-*).
func TestCloneIsHiddenFromPoolTokenUntilItsLastStep(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet, admin := fleetOf(t, s), adminOf(t, s)
		hold, err := s.Fault(FaultSpec{Match: FaultMatch{Task: "qmclone", At: "copy", VMID: 270}, Kind: "hold"})
		if err != nil {
			t.Fatal(err)
		}
		upid := fleet.call("POST", vmPath("9000", "/clone"), "newid=270", "name=r270", "pool=ci").text()
		time.Sleep(time.Second)
		fleet.must("403 Permission check failed (/vms/270, VM.Audit)", "GET", vmPath("270", "/config"))
		fleet.must("403 Permission check failed (/vms/270, VM.Audit)", "GET", vmPath("270", "/status/current"))
		fleet.must("403 Permission check failed (/vms/270, VM.Allocate)", "DELETE", vmPath("270"))
		fleet.must("403 Permission check failed (/vms/270, VM.PowerMgmt)", "POST", vmPath("270", "/status/start"))
		fleet.must("500 unable to create VM 270: config file already exists", "POST", vmPath("9000", "/clone"), "newid=270", "pool=ci")
		cfg := admin.must("200 OK", "GET", vmPath("270", "/config")).object()
		want := map[string]any{"lock": "clone", "description": " qmclone temporary file", "digest": "eb54fb9d9f120ba0c3bdf694f73b10002c375c38"}
		for k, v := range want {
			if cfg[k] != v {
				t.Errorf("config while cloning: %s is %v, want %v", k, cfg[k], v)
			}
		}
		if len(cfg) != len(want) {
			t.Errorf("config while cloning: %v", cfg)
		}
		if name := admin.must("200 OK", "GET", vmPath("270", "/status/current")).object()["name"]; name != "VM 270" {
			t.Errorf("name while cloning: %v", name)
		}
		admin.must("500 VM is locked (clone)", "PUT", vmPath("270", "/config"), "description=x")
		if exit := admin.task("DELETE", vmPath("270")); exit != "can't lock file '/var/lock/qemu-server/lock-270.conf' - got timeout" {
			t.Errorf("removal while cloning: %s", exit)
		}
		if log := fleet.log(upid); log[0] != "creating a clone of VM 9000 with ID 270" {
			t.Errorf("log: %q", log)
		}
		s.ReleaseFault(hold)
		if exit := fleet.wait(upid); exit != "OK" {
			t.Fatalf("clone: %s", exit)
		}
		fleet.must("200 OK", "GET", vmPath("270", "/config"))
	})
}

func TestCloneTakesOverAllButAddressesAndIdentities(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.must("200 OK", "PUT", vmPath("9000", "/config"), "protection=1", "tags=z;a", "onboot=1",
			"smbios1=uuid=25b77e84-796f-4b8e-bd5e-2aba54b51f80,base64=1,serial=ZHM9bm9jbG91ZA==")
		fleetOf(t, s).vmFor("270")
		cfg := admin.call("GET", vmPath("270", "/config")).object()
		for opt, want := range map[string]any{"protection": 1.0, "tags": "a;z", "onboot": 1.0, "agent": "1", "boot": "order=scsi0;net0"} {
			if cfg[opt] != want {
				t.Errorf("%s is %v, want %v", opt, cfg[opt], want)
			}
		}
		if smbios, _ := cfg["smbios1"].(string); !strings.HasPrefix(smbios, "base64=1,serial=ZHM9bm9jbG91ZA==,uuid=") || strings.Contains(smbios, "25b77e84") {
			t.Errorf("smbios1 is %q", smbios)
		}
		if net, _ := cfg["net0"].(string); !strings.HasSuffix(net, ",bridge=vmbr0,firewall=1") {
			t.Errorf("net0 is %q", net)
		}
		admin.must("500 can't remove VM 270 - protection mode enabled", "DELETE", vmPath("270"))
		if exit := admin.task("POST", vmPath("270", "/clone"), "newid=271"); exit != "OK" {
			t.Fatal(exit)
		}
		if name := admin.call("GET", vmPath("271", "/config")).object()["name"]; name != "Copy-of-VM-r270" {
			t.Errorf("name of an unnamed clone: %v", name)
		}
	})
}

func TestStateListsEveryRequestWithItsOutcome(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		fleet.call("GET", vmPath("9000", "/config"))
		fleet.call("POST", vmPath("9000", "/clone"), "newid=99")
		bad := fleet
		bad.secret = "wrong"
		bad.must("401 Authentication failed!", "GET", vmPath("9000", "/config"))
		got := s.State().Requests
		if len(got) != 3 {
			t.Fatalf("%d requests", len(got))
		}
		if r := got[0]; r.Status != 200 || r.VMID != 9000 || r.Node != "pve1" || r.Path != "/api2/json/nodes/pve1/qemu/9000/config" {
			t.Errorf("first: %+v", r)
		}
		if r := got[1]; r.Status != 403 && r.Status != 400 || r.NewID != 99 || r.Method != http.MethodPost {
			t.Errorf("second: %+v", r)
		}
		if r := got[2]; r.Status != 401 || r.Reason != "Authentication failed!" || r.Token != "" || r.Took != 3*time.Second {
			t.Errorf("third: %+v", r)
		}
	})
}

func TestSameSeedMakesTheSameCluster(t *testing.T) {
	one, two, other := New(Options{Seed: 3}), New(Options{Seed: 3}), New(Options{Seed: 4})
	defer one.Close()
	defer two.Close()
	defer other.Close()
	if one.Info().TokenSecret != two.Info().TokenSecret || one.Info().TokenSecret == other.Info().TokenSecret {
		t.Error("secrets don't follow the seed")
	}
	mac := func(s *Server) []string {
		var out []string
		for _, v := range s.VMs() {
			out = append(out, v.Config["net0"])
		}
		return out
	}
	if !slices.Equal(mac(one), mac(two)) || slices.Equal(mac(one), mac(other)) {
		t.Error("addresses don't follow the seed")
	}
}
