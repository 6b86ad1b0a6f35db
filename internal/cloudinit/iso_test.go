package cloudinit_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kdomanski/iso9660"
	"pgregory.net/rapid"

	"mayfly/internal/cloudinit"
)

const metaData = "instance-id: iid-1\n"

// readISO reads an image with a reader that isn't ours: its label, and its files by path.
func readISO(t interface{ Fatal(...any) }, image []byte) (string, map[string]string) {
	im, err := iso9660.OpenImage(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	label, err := im.Label()
	if err != nil {
		t.Fatal(err)
	}
	root, err := im.RootDir()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	var walk func(dir string, f *iso9660.File)
	walk = func(dir string, f *iso9660.File) {
		children, err := f.GetChildren()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range children {
			name := path.Join(dir, c.Name())
			if c.Mode().Perm() != 0o500 {
				t.Fatal(name, "has mode", c.Mode())
			}
			if c.IsDir() {
				walk(name, c)
				continue
			}
			data, err := io.ReadAll(c.Reader())
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(data)
		}
	}
	walk("", root)
	return strings.TrimRight(label, " "), files
}

func TestASeedIsReadAsItWasWritten(t *testing.T) {
	seed := cloudinit.Seed{
		MetaData: metaData, UserData: "#cloud-config\n", NetworkConfig: "version: 2\n",
		Files: map[string][]byte{
			"provision.sh": []byte("#!/bin/sh\n"), "provision.d/10-user.sh": bytes.Repeat([]byte("x"), 2048), "provision.d/20-empty": nil,
			"a/b/c/d/e/f/g/deep": []byte("deep"), "Ärger.TXT": []byte("1"), "x.y.z": []byte("2"), "x_y.z": []byte("3"),
		},
	}
	image, err := seed.ISO()
	if err != nil {
		t.Fatal(err)
	}
	label, got := readISO(t, image)
	want := map[string]string{"user-data": seed.UserData, "meta-data": metaData, "network-config": seed.NetworkConfig}
	for name, data := range seed.Files {
		want[name] = string(data)
	}
	if diff := cmp.Diff(want, got); diff != "" || label != "cidata" {
		t.Errorf("label %q, files (-want +got):\n%s", label, diff)
	}
	again, err := seed.ISO()
	if err != nil || !bytes.Equal(image, again) {
		t.Errorf("the same seed gives another image, or %v", err)
	}
}

func TestAPlainSeedIsSmallAndHasNoNetworkConfig(t *testing.T) {
	image, err := cloudinit.Seed{MetaData: metaData, UserData: "#cloud-config\n"}.ISO()
	if err != nil {
		t.Fatal(err)
	}
	_, files := readISO(t, image)
	if len(files) != 2 || len(image) > 48<<10 {
		t.Errorf("%d bytes with %v", len(image), files)
	}
}

func TestAnEmptyMediumIsNoSeed(t *testing.T) {
	image := cloudinit.EmptyISO()
	label, files := readISO(t, image)
	if strings.EqualFold(label, cloudinit.SeedLabel) || len(files) != 0 || len(image) > 46<<10 {
		t.Errorf("label %q, %d bytes with %v", label, len(image), files)
	}
}

func TestSeedsThatNoGuestCouldReadAreRefused(t *testing.T) {
	for want, s := range map[string]cloudinit.Seed{
		"names no instance-id":               {UserData: "x"},
		"one of NoCloud's own":               {MetaData: metaData, Files: map[string][]byte{"network-config": nil}},
		"one of NoCloud's own ":              {MetaData: metaData, Files: map[string][]byte{"user-data": nil}},
		"want a path like a/b":               {MetaData: metaData, Files: map[string][]byte{"../x": nil}},
		"want a path like a/b, without dots": {MetaData: metaData, Files: map[string][]byte{"/x": nil}},
		"a file and a folder":                {MetaData: metaData, Files: map[string][]byte{"x": nil, "x/y": nil}},
		"more than 7 folders":                {MetaData: metaData, Files: map[string][]byte{"1/2/3/4/5/6/7/8/x": nil}},
		"at most 100 bytes":                  {MetaData: metaData, Files: map[string][]byte{strings.Repeat("x", 101): nil}},
		"at most 100 bytes, without":         {MetaData: metaData, Files: map[string][]byte{"x\x00": nil}},
	} {
		if _, err := s.ISO(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) || !strings.HasPrefix(err.Error(), "make NoCloud image: ") {
			t.Errorf("%v, want …%s…", err, want)
		}
	}
}

func TestASeedPrintsNothingOfItself(t *testing.T) {
	s := cloudinit.Seed{MetaData: metaData, UserData: "seecret", Files: map[string][]byte{"seecret": []byte("seecret")}}
	if shown := fmt.Sprintf("%v %+v %#v %q %x %s", s, s, s, s, s, &s); strings.Contains(shown, "seecret") || !strings.Contains(shown, "user-data of 7 bytes") {
		t.Error(shown)
	}
}

// TestAnySeedIsReadAsItWasWritten draws trees of files, with names that differ in what their short forms leave out. Folders
// keep to one sector: the reader forgets the Rock Ridge part of all but the last (it reuses its buffer).
func TestAnySeedIsReadAsItWasWritten(t *testing.T) {
	name := rapid.StringOfN(rapid.RuneFrom([]rune("ab._-AÄ")), 1, 40, 40).Filter(func(s string) bool { return fs.ValidPath(s) && s != "." })
	rapid.Check(t, func(t *rapid.T) {
		s := cloudinit.Seed{MetaData: metaData, UserData: rapid.String().Draw(t, "user-data"), Files: map[string][]byte{}}
		want := map[string]string{"user-data": s.UserData, "meta-data": s.MetaData}
		folders := rapid.SliceOfN(name, 0, 4).Draw(t, "folders")
		for range rapid.IntRange(0, 10).Draw(t, "files") {
			file := rapid.SliceOfN(name, 1, 1).Draw(t, "name")
			for range rapid.IntRange(0, min(2, len(folders))).Draw(t, "depth") {
				file = append([]string{rapid.SampledFrom(folders).Draw(t, "folder") + "-"}, file...)
			}
			s.Files[path.Join(file...)] = []byte(strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 2047, 2048, 2049, 9000}).Draw(t, "size")))
		}
		maps.DeleteFunc(s.Files, func(f string, _ []byte) bool { return clashes(f, s.Files) })
		for f, data := range s.Files {
			want[f] = string(data)
		}
		image, err := s.ISO()
		if err != nil {
			t.Fatal(err)
		}
		if _, got := readISO(t, image); !maps.Equal(want, got) {
			t.Fatalf("files differ:\n%s", cmp.Diff(want, got))
		}
	})
}

// TestALargeFolderHasNoRecordInTwoSectors walks a folder's records by ECMA-119 6.8.1 alone.
func TestALargeFolderHasNoRecordInTwoSectors(t *testing.T) {
	s := cloudinit.Seed{MetaData: metaData, Files: map[string][]byte{}}
	want := map[string]string{"meta-data": metaData, "user-data": ""}
	for i := range 200 {
		name := fmt.Sprintf("%0*d", 1+i%60, i)
		s.Files["d/"+name], want["d/"+name] = []byte(name), name
	}
	image, err := s.ISO()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var walk func(dir string, at, size uint32)
	walk = func(dir string, at, size uint32) {
		for first := at * 2048; first < at*2048+size; first += 2048 {
			sector := image[first : first+2048]
			for i := 0; i < 2048 && sector[i] != 0; i += int(sector[i]) {
				r := sector[i : i+int(sector[i])]
				at, size := binary.LittleEndian.Uint32(r[2:]), binary.LittleEndian.Uint32(r[10:])
				_, name, found := bytes.Cut(r, []byte("NM"))
				switch {
				case !found: // the folder itself, or the one above
				case r[25] == 2:
					walk(path.Join(dir, string(name[3:name[0]-2])), at, size)
				default:
					got[path.Join(dir, string(name[3:name[0]-2]))] = string(image[at*2048 : at*2048+size])
				}
			}
		}
	}
	root := image[16*2048+156:]
	walk("", binary.LittleEndian.Uint32(root[2:]), binary.LittleEndian.Uint32(root[10:]))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// clashes reports whether a file has the name of a folder that another is in.
func clashes(file string, files map[string][]byte) bool {
	for other := range files {
		if strings.HasPrefix(other, file+"/") {
			return true
		}
	}
	return file == "user-data" || file == "meta-data"
}

func FuzzSeed(f *testing.F) {
	f.Add("#cloud-config\n", "a/b", []byte("x"))
	f.Add("", "A.B", []byte{})
	f.Fuzz(func(t *testing.T, userData, name string, data []byte) {
		image, err := cloudinit.Seed{MetaData: metaData, UserData: userData, Files: map[string][]byte{name: data}}.ISO()
		if err != nil {
			return
		}
		if _, got := readISO(t, image); got["user-data"] != userData || got[name] != string(data) {
			t.Errorf("%q: %v", name, got)
		}
	})
}
