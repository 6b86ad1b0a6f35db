package bootstrap_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"mayfly/internal/bootstrap"
)

var built = time.Unix(1_795_000_000, 0).UTC()

// member is an entry of an archive with its content.
type member struct {
	Name, Link string
	Type       byte
	Mode       int64
	UID, GID   int
	Body       string
	PAX        map[string]string
}

// pack writes members in the order given, as tar does.
func pack(t fataler, members ...member) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		h := &tar.Header{
			Name: m.Name, Linkname: m.Link, Typeflag: m.Type, Mode: m.Mode, Uid: m.UID, Gid: m.GID, Size: int64(len(m.Body)), ModTime: built,
			PAXRecords: m.PAX,
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if _, err := io.WriteString(w, m.Body); err != nil {
			t.Fatalf("%v", err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatalf("%v", err)
	}
	return out.Bytes()
}

type fataler interface{ Fatalf(string, ...any) }

// unpack reads an archive with Go's reader.
func unpack(t fataler, plain []byte) []member {
	r := tar.NewReader(bytes.NewReader(plain))
	var out []member
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("%v", err)
		}
		out = append(out, member{h.Name, h.Linkname, h.Typeflag, h.Mode, h.Uid, h.Gid, string(body), h.PAXRecords})
	}
}

func compress(t fataler, how string, plain []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "zstd":
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatalf("%v", err)
		}
		w = z
	case "gzip":
		w = gzip.NewWriter(&out)
	default:
		return plain
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatalf("%v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("%v", err)
	}
	return out.Bytes()
}

func expand(t fataler, packed []byte) []byte {
	z, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer z.Close()
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return plain
}

// ours are the entries that the tests add, made anew as a body is read once.
func ours() []bootstrap.Entry {
	return []bootstrap.Entry{
		{Path: "/usr/local/bin/mayfly", Mode: 0o755, Body: strings.NewReader("\x7fELF"), Size: 4},
		{Path: "/etc/mayfly/secrets/token", Mode: 0o400, UID: 997, GID: 997, Body: strings.NewReader("sealed"), Size: 6},
		{Path: "/etc/mayfly/secrets", Mode: fs.ModeDir | 0o700, UID: 997, GID: 997},
		{Path: "/etc/systemd/system/dispatcher.service", Link: "mayfly.service"},
	}
}

// added are the same as they have to be found in the archive, with the folders that lead to them.
var added = []member{
	{Name: "./etc/", Type: tar.TypeDir, Mode: 0o755},
	{Name: "./etc/mayfly/", Type: tar.TypeDir, Mode: 0o755},
	{Name: "./etc/mayfly/secrets/", Type: tar.TypeDir, Mode: 0o700, UID: 997, GID: 997},
	{Name: "./etc/mayfly/secrets/token", Type: tar.TypeReg, Mode: 0o400, UID: 997, GID: 997, Body: "sealed"},
	{Name: "./etc/systemd/", Type: tar.TypeDir, Mode: 0o755},
	{Name: "./etc/systemd/system/", Type: tar.TypeDir, Mode: 0o755},
	{Name: "./etc/systemd/system/dispatcher.service", Link: "mayfly.service", Type: tar.TypeSymlink, Mode: 0o777},
	{Name: "./usr/", Type: tar.TypeDir, Mode: 0o755},
	{Name: "./usr/local/", Type: tar.TypeDir, Mode: 0o755},
	{Name: "./usr/local/bin/", Type: tar.TypeDir, Mode: 0o755},
	{Name: "./usr/local/bin/mayfly", Type: tar.TypeReg, Mode: 0o755, Body: "\x7fELF"},
}

// members draws a template's content: files of all sorts, long names, extended attributes, folders that ours need too.
func members(t *rapid.T) []member {
	list := []member{{Name: "./", Type: tar.TypeDir, Mode: 0o755}}
	for _, dir := range added {
		if dir.Type == tar.TypeDir && rapid.Bool().Draw(t, "has "+dir.Name) {
			list = append(list, member{Name: dir.Name, Type: tar.TypeDir, Mode: int64(rapid.IntRange(0, 0o7777).Draw(t, "mode"))})
		}
	}
	for i := range rapid.IntRange(0, 8).Draw(t, "files") {
		m := member{
			Name: fmt.Sprintf("./var/%d%s", i, strings.Repeat("x", rapid.IntRange(0, 200).Draw(t, "long"))), Type: tar.TypeReg, Mode: 0o644,
			UID: rapid.IntRange(0, 65534).Draw(t, "uid"), Body: string(rapid.SliceOfN(rapid.Byte(), 0, 1500).Draw(t, "body")),
		}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			m.Type, m.Link, m.Body = tar.TypeSymlink, "../etc", ""
		case 1:
			m.Type, m.Link, m.Body = tar.TypeLink, "./etc/hostname", ""
		case 2:
			m.PAX = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02"}
		case 3:
			m.Body = strings.Repeat("\x00", rapid.IntRange(0, 3000).Draw(t, "zeros")) // looks like an archive's end
		}
		list = append(list, m)
	}
	return list
}

func TestTemplateStaysByteForByteAndEachAdditionIsThereOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		had := members(t)
		plain := pack(t, had...)
		in := compress(t, rapid.SampledFrom([]string{"zstd", "gzip", "none"}).Draw(t, "compression"), plain)
		var out, again bytes.Buffer
		src := bytes.NewReader(in)
		if err := bootstrap.AddTo(context.Background(), &out, src, ours(), built); err != nil {
			t.Fatal(err)
		}
		if src.Len() != 0 {
			t.Fatalf("%d bytes were not read", src.Len())
		}
		got := expand(t, out.Bytes())
		if body := plain[:len(plain)-1024]; !bytes.HasPrefix(got, body) { // but for the two blocks that end it
			t.Fatal("the template's own bytes changed")
		}
		has := map[string]bool{}
		for _, m := range had {
			has[m.Name] = true
		}
		var want []member
		for _, m := range added {
			if !has[m.Name] {
				want = append(want, m)
			}
		}
		if diff := cmp.Diff(want, unpack(t, got)[len(had):]); diff != "" {
			t.Fatalf("added (-want +got):\n%s", diff)
		}
		if err := bootstrap.AddTo(context.Background(), &again, bytes.NewReader(in), ours(), built); err != nil || !bytes.Equal(out.Bytes(), again.Bytes()) {
			t.Fatalf("the second time %v, and other bytes", err)
		}
	})
}

func TestTemplateThatWouldHideAnAdditionIsRefused(t *testing.T) {
	for _, m := range []member{
		{Name: "./usr/local/bin/mayfly", Type: tar.TypeReg, Mode: 0o755},
		{Name: "usr/local/bin/mayfly", Type: tar.TypeReg, Mode: 0o755}, // the same file under another spelling
		{Name: "./etc", Type: tar.TypeSymlink, Link: "/srv"},
		{Name: "./etc/mayfly/secrets", Type: tar.TypeReg},
		{Name: "./etc/systemd/system/dispatcher.service/", Type: tar.TypeDir, Mode: 0o755},
	} {
		err := bootstrap.AddTo(t.Context(), io.Discard, bytes.NewReader(pack(t, m)), ours(), built)
		if want := "it has " + path.Clean("/"+m.Name) + " already"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", m.Name, err, want)
		}
	}
}

func TestBrokenTemplateIsRefused(t *testing.T) {
	noise := make([]byte, 100_000)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	plain := pack(t, member{Name: "./etc/", Type: tar.TypeDir, Mode: 0o755}, member{Name: "./noise", Type: tar.TypeReg, Body: string(noise)})
	for _, how := range []string{"zstd", "gzip", "none"} {
		whole := compress(t, how, plain)
		for _, n := range []int{0, 3, len(whole) / 2, len(whole) - 2000} {
			if err := bootstrap.AddTo(t.Context(), io.Discard, bytes.NewReader(whole[:n]), ours(), built); err == nil {
				t.Errorf("%s: %d of %d bytes are no error", how, n, len(whole))
			}
		}
	}
	gz := compress(t, "gzip", plain)
	gz[len(gz)-5] ^= 1 // in the checksum, behind the archive's end
	if err := bootstrap.AddTo(t.Context(), io.Discard, bytes.NewReader(gz), ours(), built); !errors.Is(err, gzip.ErrChecksum) {
		t.Errorf("wrong checksum: %v", err)
	}
	xz := append([]byte("\xfd7zXZ\x00"), make([]byte, 100)...)
	if err := bootstrap.AddTo(t.Context(), io.Discard, bytes.NewReader(xz), ours(), built); err == nil || !strings.Contains(err.Error(), "xz -dc") {
		t.Errorf("xz: %v", err)
	}
	if err := bootstrap.AddTo(t.Context(), io.Discard, bytes.NewReader(pack(t)), ours(), built); err == nil || !strings.Contains(err.Error(), "no files") {
		t.Errorf("empty: %v", err)
	}
}

func TestEntryThatMakesNoSenseIsRefusedBeforeAnythingIsRead(t *testing.T) {
	file := func(path string) bootstrap.Entry {
		return bootstrap.Entry{Path: path, Mode: 0o644, Body: strings.NewReader("x"), Size: 1}
	}
	owned := file("/x")
	owned.UID = 65536
	for name, list := range map[string][]bootstrap.Entry{
		"relative": {file("etc/x")}, "detour": {file("/etc/../x")}, "root": {file("/")}, "twice": {file("/x"), file("/x")},
		"no body": {{Path: "/x", Mode: 0o644}}, "folder with a body": {{Path: "/x", Mode: fs.ModeDir, Body: strings.NewReader("")}}, "owner": {owned},
	} {
		src := strings.NewReader(strings.Repeat("x", 1<<20))
		if err := bootstrap.AddTo(t.Context(), io.Discard, src, list, built); err == nil || strings.Contains(err.Error(), "read container template") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBodyOfAnotherSizeThanPromisedIsAnError(t *testing.T) {
	for _, size := range []int64{1, 3} {
		e := bootstrap.Entry{Path: "/x", Mode: 0o644, Body: strings.NewReader("xx"), Size: size}
		plain := pack(t, member{Name: "./", Type: tar.TypeDir, Mode: 0o755})
		if err := bootstrap.AddTo(t.Context(), io.Discard, bytes.NewReader(plain), []bootstrap.Entry{e}, built); err == nil || !strings.Contains(err.Error(), "/x") {
			t.Errorf("%d bytes promised: %v", size, err)
		}
	}
}

func TestBigTemplateIsNeverHeldInMemoryAndEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Name: "./big", Typeflag: tar.TypeReg, Size: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	const enough = 256 << 20
	given := 0
	body := readerFunc(func(p []byte) (int, error) {
		if given += len(p); given > enough {
			cancel()
		}
		clear(p)
		return len(p), nil
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := bootstrap.AddTo(ctx, io.Discard, io.MultiReader(bytes.NewReader(head.Bytes()), body), ours(), built)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, context.Canceled) || given < enough {
		t.Errorf("%v after %d bytes", err, given)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > enough/4 {
		t.Errorf("%d bytes of memory for %d of a template", used, given)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func FuzzAnyBytesGiveAnErrorOrAnArchiveWithOurs(f *testing.F) {
	plain := pack(f, member{Name: "./", Type: tar.TypeDir, Mode: 0o755}, member{Name: "./a", Type: tar.TypeReg, Body: "x"})
	for _, how := range []string{"zstd", "gzip", "none"} {
		f.Add(compress(f, how, plain))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		if err := bootstrap.AddTo(t.Context(), &out, bytes.NewReader(in), ours(), built); err != nil {
			return
		}
		found := 0
		for _, m := range unpack(t, expand(t, out.Bytes())) {
			if m.Name == "./usr/local/bin/mayfly" && m.Body == "\x7fELF" {
				found++
			}
		}
		if found != 1 {
			t.Errorf("our file is there %d times", found)
		}
	})
}
