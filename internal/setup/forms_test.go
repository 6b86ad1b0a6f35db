package setup

import (
	"strings"
	"testing"

	"mayfly/internal/runner"
)

func TestAddressesAreCompleted(t *testing.T) {
	for text, want := range map[string]string{
		"pve1":                                "https://pve1:8006",
		" pve1.example.org ":                  "https://pve1.example.org:8006",
		"pve1:8007":                           "https://pve1:8007",
		"10.1.1.158":                          "https://10.1.1.158:8006",
		"http://10.1.1.158:8006/api2/json":    "https://10.1.1.158:8006",
		"HTTP://pve1":                         "https://pve1:8006",
		"https://pve1:8006/api2/json/":        "https://pve1:8006",
		"https://pve1:8006/#v1:0:18:4:::::::": "https://pve1:8006",
		"https://pve1:8006/?console=shell":    "https://pve1:8006",
		"https://pve.example.org":             "https://pve.example.org:8006 https://pve.example.org:443",
		"http://127.0.0.1:8006":               "http://127.0.0.1:8006",
		"http://localhost":                    "http://localhost:8006",
		"2001:db8::1":                         "https://[2001:db8::1]:8006",
		"[2001:db8::1]:9000":                  "https://[2001:db8::1]:9000",
		"":                                    "that is no address",
		"pve 1":                               "that is no address",
		"ftp://pve1":                          "that is no address",
		"https://":                            "that is no address",
		"pve1:0":                              `port "0"`,
		"pve1:70000":                          `port "70000"`,
		"pve1:port":                           "that is no address",
		"https://pve1/nodes":                  `"/nodes" is more than an address`,
		"root@pve1":                           "a user in the address",
	} {
		got, err := completeAddress(text)
		if joined := strings.Join(got, " "); joined != want && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %q, %v; want %q", text, joined, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "want a ") {
			t.Errorf("%q: %v doesn't tell the accepted form", text, err)
		}
	}
}

func TestRepositoriesAreReadInEveryForm(t *testing.T) {
	for text, want := range map[string]string{
		"NREL/EnergyPlus":                                        "NREL/EnergyPlus ",
		"github.com/NREL/EnergyPlus":                             "NREL/EnergyPlus ",
		"https://github.com/NREL/EnergyPlus":                     "NREL/EnergyPlus ",
		"https://www.github.com/NREL/EnergyPlus/actions?query=x": "NREL/EnergyPlus ",
		"https://github.com/NREL/EnergyPlus.git":                 "NREL/EnergyPlus ",
		"git@github.com:NREL/EnergyPlus.git":                     "NREL/EnergyPlus ",
		"ssh://git@github.com/NREL/EnergyPlus.git":               "NREL/EnergyPlus ",
		"ssh://git@ssh.github.com:443/NREL/EnergyPlus.git":       "NREL/EnergyPlus ",
		"https://ghes.example.org/a/b":                           "a/b https://ghes.example.org",
		"http://ghes.example.org:8443/a/b":                       "a/b https://ghes.example.org:8443",
		"http://127.0.0.1:3000/a/b":                              "a/b http://127.0.0.1:3000",
		"git@ghes.example.org:a/b.git":                           "a/b https://ghes.example.org",
		"https://octo.ghe.com/a/b":                               "a/b https://octo.ghe.com",
		"EnergyPlus":                                             "",
		"a/b/c":                                                  "",
		"a b/c":                                                  "",
		"https://github.com/NREL":                                "",
		"ftp://github.com/a/b":                                   "",
		"https://token@github.com/a/b":                           "",
		"https://u:p@github.com/a/b":                             "",
		"/":                                                      "",
		"":                                                       "",
		"a/..":                                                   "",
	} {
		target, web, err := parseRepository(text)
		got := ""
		if err == nil {
			got = target.String() + " " + web
		} else if !strings.Contains(err.Error(), wantRepository) {
			t.Errorf("%q: %v doesn't tell the accepted form", text, err)
		}
		if got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestTheAPIOfAnotherGitHub(t *testing.T) {
	for web, want := range map[string]string{
		"":                         "https://api.github.com",
		"https://ghes.example.org": "https://ghes.example.org/api/v3",
		"https://octo.ghe.com":     "https://api.octo.ghe.com",
	} {
		if got := apiOf(web); got != want {
			t.Errorf("%q: %q, want %q", web, got, want)
		}
	}
}

func TestThePageOfTheTokenHasThePermissionsFilledIn(t *testing.T) {
	target := runner.Target{Owner: "NREL", Repo: "EnergyPlus"}
	if got, want := tokenPage("", target), "https://github.com/settings/personal-access-tokens/new?actions=write&administration=write&"+
		"description=Mayfly%3A+runners+for+NREL%2FEnergyPlus&expires_in=90&name=mayfly+EnergyPlus&target_name=NREL"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := tokenPage("https://ghes.example.org", target); got != "https://ghes.example.org/settings/personal-access-tokens/new" {
		t.Errorf("%s", got)
	}
}

func TestDifferencesAreLinesWithoutWhereTheirValuesAreFrom(t *testing.T) {
	before := "a: 1  # asked\nb: 2\nc: 3\n"
	for after, want := range map[string]string{
		before:                        "",
		"a: 1\nb: 2  # free\nc: 3\n":  "",
		"a: 1\nb: 2\n":                "- c: 3\n",
		"a: 4\nb: 2\nc: 3\n":          "- a: 1  # asked\n+ a: 4\n",
		"x: \"  # y\"\n" + before:     "+ x: \"  # y\"\n",
		"":                            "- a: 1  # asked\n- b: 2\n- c: 3\n",
		"b: 2\nc: 3\na: 1  # asked\n": "- a: 1  # asked\n+ a: 1  # asked\n",
	} {
		if got := difference(before, after); got != want {
			t.Errorf("%q: %q, want %q", after, got, want)
		}
	}
}

func TestSecretsAreToldFromOtherAnswers(t *testing.T) {
	for text, want := range map[string]bool{
		"ghp_0123456789abcdefghij0123456789abcdef":                       true,
		"github_pat_11ABCDEFG0abcdefghijkl_0123456789":                   true,
		"PVEAPIToken=a@pve!b=aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee":       true,
		"mayfly@pve!dispatcher":                                          false,
		"NREL/EnergyPlus":                                                false,
		"AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE": false,
	} {
		if got := looksSecret(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
