package main

import (
	"strconv"
	"strings"
	"testing"
)

// member is one entry of an archive as a kernel would read it.
type member struct {
	mode, uid, major, minor int64
	data                    string
}

// read unpacks an archive by the format's description, not by our code.
func read(t *testing.T, archive []byte) (names []string, members map[string]member) {
	t.Helper()
	members = map[string]member{}
	rest := string(archive)
	cut := func(n int) string {
		if n > len(rest) {
			t.Fatalf("the archive ends %d bytes early", n-len(rest))
		}
		part := rest[:n]
		rest = rest[n:]
		return part
	}
	align := func() { cut((4 - (len(archive)-len(rest))%4) % 4) }
	for {
		if magic := cut(6); magic != "070701" {
			t.Fatalf("magic %q", magic)
		}
		var fields [13]int64
		for i := range fields {
			n, err := strconv.ParseInt(cut(8), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			fields[i] = n
		}
		name := cut(int(fields[11]))
		align()
		data := cut(int(fields[6]))
		align()
		if !strings.HasSuffix(name, "\x00") {
			t.Fatalf("name %q without its end", name)
		}
		if name = strings.TrimSuffix(name, "\x00"); name == "TRAILER!!!" {
			return names, members
		}
		names = append(names, name)
		members[name] = member{fields[1], fields[2], fields[9], fields[10], data}
	}
}

func TestArchiveHoldsWhatWasPutIn(t *testing.T) {
	a := &archive{}
	a.dir("tmp", 0)
	a.symlink("bin", "usr/bin")
	a.char("dev/console", 5, 1)
	a.file("home/runner/x", 0o640, 1001, []byte("content"))
	a.file("home/runner/y", 0o755, 0, nil)
	names, got := read(t, a.bytes())
	want := map[string]member{
		"tmp":           {modeDir | 0o755, 0, 0, 0, ""},
		"bin":           {modeLink | 0o777, 0, 0, 0, "usr/bin"},
		"dev/console":   {modeChar | 0o600, 0, 5, 1, ""},
		"home":          {modeDir | 0o755, 0, 0, 0, ""},
		"home/runner":   {modeDir | 0o755, 0, 0, 0, ""},
		"home/runner/x": {modeRegular | 0o640, 1001, 0, 0, "content"},
		"home/runner/y": {modeRegular | 0o755, 0, 0, 0, ""},
	}
	for name, m := range want {
		if got[name] != m {
			t.Errorf("%s: %+v, want %+v", name, got[name], m)
		}
	}
	if len(names) != len(want) {
		t.Errorf("entries %q: want each once, folders first", names)
	}
	for i, name := range names { // a kernel makes no folders by itself
		if at := strings.LastIndex(name, "/"); at > 0 && name != "dev/console" && !strings.Contains("\n"+strings.Join(names[:i], "\n")+"\n", "\n"+name[:at]+"\n") {
			t.Errorf("%s comes before its folder", name)
		}
	}
}
