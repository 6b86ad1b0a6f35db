package pve

import (
	"strings"
	"testing"
)

// What a token without Sys.Modify on "/" may set, by the datacenter's rules. VM 270 has the tag "old" already.
func TestTagsAreRefusedByTheDatacentersRules(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rules Datacenter
		tags  string
		no    string // the tag that is refused
	}{
		{"free", Datacenter{}, "old;new", ""},
		{"free, registered", Datacenter{RegisteredTags: []string{"prod"}}, "old;prod", "prod"},
		{"free, registered that is there", Datacenter{RegisteredTags: []string{"old"}}, "old;new", ""},
		{"free, registered that goes", Datacenter{RegisteredTags: []string{"old"}}, "new", "old"},
		{"none", Datacenter{UserAllow: "none", UserAllowList: []string{"new"}}, "old;new", "new"},
		{"list", Datacenter{UserAllow: "list", UserAllowList: []string{"new"}}, "old;new", ""},
		{"list, another", Datacenter{UserAllow: "list", UserAllowList: []string{"new"}}, "old;other", "other"},
		{"list, registered wins", Datacenter{UserAllow: "list", UserAllowList: []string{"new"}, RegisteredTags: []string{"new"}}, "old;new", "new"},
		{"existing", Datacenter{UserAllow: "existing"}, "old", ""},
		{"existing, another", Datacenter{UserAllow: "existing"}, "new;old", "new"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, s *Server) {
				fleet := fleetOf(t, s)
				fleet.vmFor("270")
				adminOf(t, s).must("200 OK", "PUT", vmPath("270", "/config"), "tags=old")
				s.opts.Datacenter = tc.rules
				want := "200 OK"
				if tc.no != "" {
					want = "403 Permission check failed (/, Sys.Modify for modifying tag '" + tc.no + "')"
				}
				if got := fleet.call("PUT", vmPath("270", "/config"), "tags="+tc.tags).status; got != want {
					t.Errorf("tags %s: %s, want %s", tc.tags, got, want)
				}
				adminOf(t, s).must("200 OK", "PUT", vmPath("270", "/config"), "tags="+tc.tags)
			})
		})
	}
}

func TestSettingsOfTheDatacenterShowToWhoMayAudit(t *testing.T) {
	bubble(t, Options{
		Datacenter: Datacenter{
			UserAllow: "list", UserAllowList: []string{"a"}, RegisteredTags: []string{"r"}, Firewall: true,
			Backups: []BackupJob{{ID: "nightly", All: true, Exclude: []int{100, 101}}, {ID: "pool", Pool: "ci", Disabled: true}},
		},
		TemplateFirewall: map[string]string{"enable": "1", "policy_out": "DROP"},
	}, func(t *testing.T, s *Server) {
		fleet, admin := fleetOf(t, s), adminOf(t, s)
		for path, want := range map[string]string{
			"/cluster/backup":           `"exclude":"100,101"`,
			"/cluster/options":          `"registered-tags":["r"]`,
			"/cluster/firewall/options": `"enable":1`,
		} {
			if got := string(admin.must("200 OK", "GET", path).Data); !strings.Contains(got, want) {
				t.Errorf("%s shows the administrator %s, want %s in it", path, got, want)
			}
			if got := fleet.call("GET", path); strings.Contains(string(got.Data), want) || path != "/cluster/options" && got.status != "403 Permission check failed (/, Sys.Audit)" {
				t.Errorf("%s shows the fleet %s %s", path, got.status, string(got.Data))
			}
		}
		fleet.vmFor("270")
		for id, want := range map[string]bool{"9000": true, "270": true} {
			if got := string(fleet.must("200 OK", "GET", vmPath(id, "/firewall/options")).Data); strings.Contains(got, `"policy_out":"DROP"`) != want {
				t.Errorf("firewall of %s: %s", id, got)
			}
		}
	})
}

func TestBridgesShowToWhoMayUseThem(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		if got := string(fleet.must("200 OK", "GET", "/nodes/pve1/network", "type=any_bridge").Data); !strings.Contains(got, `"iface":"vmbr0"`) || strings.Contains(got, "eno1\",\"m") {
			t.Errorf("bridges: %s", got)
		}
		if got := string(fleet.must("200 OK", "GET", "/nodes/pve1/network", "type=bond").Data); strings.Contains(got, "iface") {
			t.Errorf("bonds: %s", got)
		}
		s.mu.Lock()
		s.roles["PVESDNUser"] = nil
		s.mu.Unlock()
		if got := string(fleet.must("200 OK", "GET", "/nodes/pve1/network").Data); strings.Contains(got, "vmbr0") || !strings.Contains(got, "eno1") {
			t.Errorf("without a privilege on the bridge: %s", got)
		}
	})
}
