package packer

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// provisioners are those of the build, by their label.
func (tpl *template) provisioners() map[string]*hclsyntax.Block {
	tpl.t.Helper()
	build := tpl.only(tpl.body, "build")
	sources := tpl.argument(build, "sources", nil)
	if sources.LengthInt() != 1 || sources.AsValueSlice()[0].AsString() != "source.proxmox-iso.runner" {
		tpl.t.Errorf("%s builds %#v", tpl.path, sources)
	}
	found := map[string]*hclsyntax.Block{}
	for _, block := range blocks(build.Body, "provisioner") {
		found[block.Labels[0]] = block
	}
	return found
}

func TestWhatIsUploadedAndRunIsThere(t *testing.T) {
	inEvery(t, func(t *testing.T, tpl *template) {
		scope := tpl.scope(given())
		all := tpl.provisioners()
		file, shell := all["file"], all["shell"]
		if len(all) != 2 || file == nil || shell == nil {
			t.Fatalf("provisioners %v, want file and shell", all)
		}
		source := tpl.argument(file, "source", scope).AsString()
		if _, err := os.Stat(filepath.Join(source, "provision.sh")); err != nil {
			t.Error(err)
		}
		script, err := os.ReadFile(tpl.argument(shell, "script", scope).AsString())
		if err != nil {
			t.Fatal(err)
		}
		// Without a slash at its end the folder itself goes there.
		place := filepath.Join(tpl.argument(file, "destination", scope).AsString(), filepath.Base(source))
		if strings.HasSuffix(source, "/") || !strings.Contains(string(script), "common=${COMMON_DIR:-"+place+"}") {
			t.Errorf("the scripts go to %s, where build.sh doesn't look", place)
		}
	})
}

func TestEverySettingOfTheScriptsComesFromAVariable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(runners, "common", "provision.sh"))
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)\nsettings='([^']+)'`).FindSubmatch(text)
	if list == nil {
		t.Fatal("provision.sh has no list of its settings")
	}
	want := append(strings.Fields(string(list[1])), "BUILD_USER") // build.sh's own
	want = slices.DeleteFunc(want, func(name string) bool { return name == "SKIP_PACKAGES" })
	slices.Sort(want)
	inEvery(t, func(t *testing.T, tpl *template) {
		scope := tpl.scope(given())
		var got []string
		for name := range scope.Variables["local"].GetAttr("settings").Type().AttributeTypes() {
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("settings are %q, want %q", got, want)
		}
	})
}

func TestWhatIsEmptyIsNotSet(t *testing.T) {
	inEvery(t, func(t *testing.T, tpl *template) {
		lines := func(values map[string]cty.Value) []string {
			var all []string
			for _, v := range tpl.argument(tpl.provisioners()["shell"], "environment_vars", tpl.scope(values)).AsValueSlice() {
				all = append(all, v.AsString())
			}
			return all
		}
		image := strings.Split(tpl.path, "/")[3]
		want := []string{
			"BOOT_TRICKS=all", "BUILD_USER=packer", "IMAGE_NAME=" + image, "IMAGE_VERSION=20261124-0410", "INSTALL_DOCKER=false",
			"PASSWORD_LOGIN=false", "RUNNER_SUDO=true", "RUNNER_USER=runner",
		}
		if got := lines(given()); !slices.Equal(got, want) {
			t.Errorf("with nothing but what is required: %q, want %q", got, want)
		}
		values := given()
		values["extra_packages"] = cty.StringVal("gfortran libssl-dev")
		values["https_proxy"] = cty.StringVal("http://proxy.example.org:3128")
		got := lines(values)
		for _, line := range []string{"EXTRA_PACKAGES=gfortran libssl-dev", "https_proxy=http://proxy.example.org:3128"} {
			if !slices.Contains(got, line) {
				t.Errorf("%q lacks %q", got, line)
			}
		}
	})
}

// TestTemplatesStayTheSame lets the two differ in their names and in Ubuntu's installer, and in nothing else.
func TestTemplatesStayTheSame(t *testing.T) {
	for _, file := range []string{"%-runner-iso.pkr.hcl", "packer.pkrvars.hcl"} {
		older, newer := sameText(t, "ubuntu-2204", file), sameText(t, "ubuntu-2404", file)
		for i := range max(len(older), len(newer)) {
			if i >= len(older) || i >= len(newer) || older[i] != newer[i] {
				t.Errorf("%s: the templates differ in line %d and what follows", file, i+1)
				break
			}
		}
	}
}

// sameText is a file with the differences that there may be taken out.
func sameText(t *testing.T, image, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(runners, image, strings.Replace(file, "%", image, 1)))
	if err != nil {
		t.Fatal(err)
	}
	plain := regexp.MustCompile(`sha256:[0-9a-f]{64}`).ReplaceAllString(string(text), "CHECKSUM")
	plain = regexp.MustCompile(`(ubuntu-|Ubuntu |com/)2[24][.]?04([.][0-9]+)?`).ReplaceAllString(plain, "$1")
	return strings.Split(plain, "\n")
}
