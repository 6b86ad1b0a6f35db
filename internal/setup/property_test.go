package setup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mayfly/internal/cli"
	"mayfly/internal/config"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// drawn is a good answer, in a form that was drawn.
type drawn struct {
	text, flag, variable string
}

// TestAcceptedAnswersAreWhatIsLoaded draws good answers, and whether each is typed, a flag or a variable: the file that is written
// means them, and is never warned of.
func TestAcceptedAnswersAreWhatIsLoaded(t *testing.T) {
	s := serve(t, serverOptions{
		pve: pve.Options{Nodes: []string{"pve1", "node-2"}},
		gh:  gh.Options{Repositories: []gh.RepositorySpec{{Name: "o/a.b_c"}, {Name: "Org-1/-odd-"}}},
	})
	web := strings.TrimSuffix(s.repo, "/NREL/EnergyPlus")
	secrets := t.TempDir()
	for name, text := range map[string]string{"pve": s.info.TokenSecret, "gh": s.token} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, what) }
		host := strings.TrimPrefix(s.info.URL, "https://")
		node := pick("node", "pve1", "node-2")
		pool := pick("resource pool", "ci", "ci-templates", "-")
		template := pick("template", "ubuntu-2204-runner-template")
		repo := pick("repository", "NREL/EnergyPlus", "o/a.b_c", "Org-1/-odd-")
		start := rapid.IntRange(400, 8000).Draw(rt, "start")
		size := rapid.IntRange(1, 9).Draw(rt, "size")
		end := start + size - 1
		labels := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zäß☃0-9"'#:{}&*!%~-][a-z0-9"'#:{}&*!%~ä.-]{0,9}`), 1, 4, rapid.ID[string]).Draw(rt, "labels")
		labels = slices.DeleteFunc(labels, func(l string) bool { return l == "self-hosted" || strings.HasPrefix(l, "-") })
		if len(labels) == 0 {
			labels = []string{"x"}
		}
		most := rapid.IntRange(1, size).Draw(rt, "max")
		answers := []drawn{
			{pick("address", host, s.info.URL, s.info.URL+"/", s.info.URL+"/api2/json", s.info.URL+"/#v1:0:18:4"), "proxmox-url", "PROXMOX_URL"},
			{pick("pin", "yes", "Y", s.info.Fingerprint, strings.ReplaceAll(strings.ToLower(s.info.Fingerprint), ":", "")), "proxmox-fingerprint", ""},
			{s.info.TokenID, "proxmox-token-id", "PROXMOX_TOKEN_ID"},
			{s.info.TokenSecret, "proxmox-token-secret-file", "PROXMOX_TOKEN_SECRET"},
			{node, "node", "PROXMOX_NODE"},
			{pool, "resource-pool", ""},
			{template, "template", ""},
			{fmt.Sprintf(pick("range", "%d-%d", "%d - %d", "%d..%d"), start, end), "vmids", ""},
			{web + "/" + repo + pick("page", "", ".git", "/", "/actions/runs/1"), "repository", ""},
			{s.token, "github-token-file", "GITHUB_TOKEN"},
			{strings.Join(labels, pick("between", ",", ", ")), "labels", ""},
			{strconv.Itoa(most), "max-runners", "MAX_TOTAL_RUNNERS"},
		}
		one := *s
		one.dir = filepath.Join(folder, strconv.Itoa(len(entries(t, folder))))
		if err := os.Mkdir(one.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var env, args, typed []string
		for i, a := range answers {
			switch way := rapid.IntRange(0, 2).Draw(rt, "way"); {
			case way == 1 && a.variable != "":
				env = append(env, a.variable+"="+a.text)
			case way == 2 && strings.HasSuffix(a.flag, "-file"):
				args = append(args, "--"+a.flag, filepath.Join(secrets, map[int]string{3: "pve", 9: "gh"}[i]))
			case way == 2:
				args = append(args, "--"+a.flag+"="+a.text)
			default:
				typed = append(typed, a.text)
			}
		}
		r := one.run(t, env, args, typed...)
		if r.code != cli.ExitOK || r.errors != "" {
			rt.Fatalf("exit code %d\n%s%s", r.code, r.out, r.errors)
		}
		c, _, err := config.Load(config.LoadOptions{File: filepath.Join(one.dir, "mayfly.yaml")})
		if err != nil || len(c.Warnings) > 0 {
			rt.Fatalf("%v\n%s", err, one.read(t, "mayfly.yaml"))
		}
		if pool == "-" {
			pool = ""
		}
		got := []any{
			c.Proxmox.Endpoints[0], c.Proxmox.Fingerprint, c.Proxmox.TokenID, c.Proxmox.TokenSecret.Reveal(), c.Proxmox.Node, c.Proxmox.ResourcePool,
			c.Pools[0].Template, c.VMIDs.Start, c.VMIDs.End, c.Pools[0].Target.String(), c.GitHub.Token.Reveal(), c.Pools[0].Labels, c.MaxRunners,
		}
		want := []any{
			s.info.URL, s.info.Fingerprint, s.info.TokenID, s.info.TokenSecret, node, pool, template, start, end, repo, s.token, labels, most,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-answered +loaded):\n%s\n%s", diff, one.read(t, "mayfly.yaml"))
		}
	})
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
