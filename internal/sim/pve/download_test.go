package pve

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/runner"
)

// qcow2 is an image's header and padding: nothing more is looked at.
func qcow2(virtual runner.Bytes, fileSize int) []byte {
	b := make([]byte, max(fileSize, 104))
	copy(b, "QFI\xfb")
	binary.BigEndian.PutUint32(b[4:], 3)
	binary.BigEndian.PutUint32(b[20:], 16)
	binary.BigEndian.PutUint64(b[24:], uint64(virtual))
	return b
}

// web answers in process; an error is what the network says.
type web map[string]func() (*http.Response, error)

func (w web) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := w[r.URL.String()]
	if answer == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	resp, err := answer()
	if err == nil {
		resp.Request = r
	}
	return resp, err
}

func serves(body []byte) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return &http.Response{
			Status: "200 OK", StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/octet-stream"}},
			ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		}, nil
	}
}

func answers(status string, header http.Header) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		code := int(status[0]-'0')*100 + int(status[1]-'0')*10 + int(status[2]-'0')
		return &http.Response{Status: status, StatusCode: code, Header: header, Body: http.NoBody}, nil
	}
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

const downloadPath = "/nodes/pve1/storage/local/download-url"

// The texts are those of pve-common's Tools.pm, download_file_from_url, and of wget.
func TestDownloadChecksWhatItFetchesAndReplacesNothing(t *testing.T) {
	image := qcow2(2*runner.GiB, 70<<20)
	backed := qcow2(runner.GiB, 4096)
	backed[15] = 104 // the offset of a backing file's name
	w := web{
		"https://images.example/a.qcow2":      serves(image),
		"https://images.example/backed.qcow2": serves(backed),
		"https://images.example/page.html":    serves([]byte("<html>not found</html>")),
		"https://images.example/moved":        answers("302 Found", http.Header{"Location": {"https://images.example/a.qcow2"}}),
		"https://images.example/loop":         answers("302 Found", http.Header{"Location": {"https://images.example/loop"}}),
		"https://images.example/gone":         answers("404 Not Found", nil),
	}
	bubble(t, Options{Web: w, Dir: t.TempDir()}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		fetch := func(url, name string, more ...string) (string, []string) {
			t.Helper()
			upid := admin.must("200 OK", "POST", downloadPath, append([]string{"content=import", "filename=" + name, "url=" + url}, more...)...).text()
			if !strings.Contains(upid, ":download:"+name+":") {
				t.Errorf("task %s", upid)
			}
			return admin.wait(upid), admin.log(upid)
		}
		exit, log := fetch("https://images.example/a.qcow2", "a.qcow2", "checksum="+strings.ToUpper(sha(image)), "checksum-algorithm=sha256")
		if exit != "OK" {
			t.Fatal(exit)
		}
		for _, want := range []string{
			"downloading https://images.example/a.qcow2 to /var/lib/vz/import/a.qcow2", "calculating checksum...OK, checksum verified",
			"download of 'https://images.example/a.qcow2' to '/var/lib/vz/import/a.qcow2' finished", "Length: 73400320 (70M) [application/octet-stream]",
		} {
			if !slices.Contains(log, want) {
				t.Errorf("no %q in %q", want, log)
			}
		}
		rows := 0
		for _, line := range log {
			if strings.Contains(line, "K .") && strings.Contains(line, "%") {
				rows++
			}
		}
		if rows != 3 {
			t.Errorf("%d rows of progress for 70 MiB: %q", rows, log)
		}
		list := admin.call("GET", "/nodes/pve1/storage/local/content", "content=import").list()
		if len(list) != 1 || list[0]["volid"] != "local:import/a.qcow2" || list[0]["size"] != float64(70<<20) || list[0]["format"] != "qcow2" {
			t.Errorf("listed: %v", list)
		}
		for _, c := range []struct {
			url, name, want string
			more            []string
		}{
			{"https://images.example/a.qcow2", "a.qcow2", "OK", []string{"checksum=" + sha(image), "checksum-algorithm=sha256"}},
			{"https://images.example/a.qcow2", "a.qcow2", "refusing to override existing file '/var/lib/vz/import/a.qcow2'", nil},
			{"https://images.example/a.qcow2", "a.qcow2", "checksum mismatch: got '" + sha(image) + "' != expect 'aa', aborting", []string{"checksum=aa", "checksum-algorithm=sha256"}},
			{"https://images.example/a.qcow2", "b.qcow2", "checksum mismatch: got '" + sha(image) + "' != expect 'aa'", []string{"checksum=aa", "checksum-algorithm=sha256"}},
			{"https://images.example/moved", "moved.qcow2", "OK", nil},
			{"https://images.example/loop", "c.qcow2", "exit code 8", nil},
			{"https://images.example/gone", "c.qcow2", "exit code 8", nil},
			{"https://nobody.example/x", "c.qcow2", "exit code 4", nil},
			{"https://images.example/page.html", "c.qcow2", "failed to verify file: failed to query file information with qemu-img", nil},
			{"https://images.example/page.html", "c.raw", "OK", nil},
			{"https://images.example/backed.qcow2", "c.qcow2", "backing file not allowed for untrusted image '/var/lib/vz/import/c.qcow2.tmp_dwnl.", nil},
			{"https://images.example/a.qcow2", "d.qcow2", "decompression not supported for import", []string{"compression=gz"}},
		} {
			if exit, log := fetch(c.url, c.name, c.more...); !strings.Contains(exit, c.want) || (c.want == "OK") != (exit == "OK") {
				t.Errorf("%s as %s: %q, want %q; log %q", c.url, c.name, exit, c.want, log)
			}
		}
		for _, left := range admin.call("GET", "/nodes/pve1/storage/local/content", "content=import").list() {
			if id := left["volid"]; id == "local:import/b.qcow2" || id == "local:import/c.qcow2" || id == "local:import/d.qcow2" {
				t.Errorf("a download that failed left %v", id)
			}
		}
	})
}

func TestDownloadIsRefusedAtOnceForWhatNeedsNoNetwork(t *testing.T) {
	opts := Options{
		Roles: []Role{{"Store", []string{"Datastore.AllocateTemplate"}}, {"Net", []string{"Sys.AccessNetwork"}}, {"Old", []string{"Sys.Audit", "Sys.Modify"}}},
		Tokens: []Token{
			{ID: "a@pve!none", Secret: "s", Roles: map[string]string{"/storage/local": "Store"}},
			{ID: "b@pve!net", Secret: "s", Roles: map[string]string{"/storage/local": "Store", "/nodes/pve1": "Net"}},
			{ID: "c@pve!old", Secret: "s", Roles: map[string]string{"/storage/local": "Store", "/": "Old"}},
			{ID: "d@pve!net", Secret: "s", Roles: map[string]string{"/nodes/pve1": "Net"}},
		},
		Web: web{},
	}
	bubble(t, opts, func(t *testing.T, s *Server) {
		good := []string{"content=import", "filename=x.qcow2", "url=http://images.example/x"}
		as := func(id string) caller { return caller{t, s.RoundTripper(), id, "s"} }
		as("a@pve!none").must("403 Permission check failed", "POST", downloadPath, good...)
		as("d@pve!net").must("403 Permission check failed (/storage/local, Datastore.AllocateTemplate)", "POST", downloadPath, good...)
		for _, id := range []string{"b@pve!net", "c@pve!old"} {
			as(id).must("200 OK", "POST", downloadPath, good...)
		}
		admin := adminOf(t, s)
		for _, c := range []struct {
			want, field, text string
			params            []string
		}{
			{"400 Parameter verification failed.", "url", "value does not match the regex pattern", []string{"content=iso", "filename=x.iso", "url=ftp://x"}},
			{"400 Parameter verification failed.", "filename", "invalid filename or wrong extension", []string{"content=import", "filename=x.img", "url=http://x"}},
			{"400 Parameter verification failed.", "filename", "wrong file extension", []string{"content=iso", "filename=x.qcow2", "url=http://x"}},
			{"400 Parameter verification failed.", "checksum-algorithm", "missing property required by 'checksum'", []string{"content=iso", "filename=x.iso", "url=http://x", "checksum=aa"}},
			{"400 Parameter verification failed.", "content", "value 'snippets' does not have a value in the enumeration 'iso, vztmpl, import'", []string{"content=snippets", "filename=x", "url=http://x"}},
		} {
			a := admin.must(c.want, "POST", downloadPath, c.params...)
			if a.Errors[c.field] != c.text {
				t.Errorf("%v: %v, want %s: %s", c.params, a.Errors, c.field, c.text)
			}
		}
		admin.must("500 storage 'nosuch' does not exist", "POST", "/nodes/pve1/storage/nosuch/download-url", good...)
		admin.must("500 can't upload to storage type 'lvmthin', not a file based storage!", "POST", "/nodes/pve1/storage/local-lvm/download-url", good...)
	})
}

func TestDownloadReachesLoopbackAndNothingElse(t *testing.T) {
	page := []byte("an ISO image, nearly")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) }))
	defer srv.Close()
	secure := httptest.NewUnstartedServer(srv.Config.Handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is refused
	secure.StartTLS()
	defer secure.Close()
	s := New(Options{Timing: DemoTiming()})
	defer s.Close()
	admin := adminOf(t, s)
	unverified := "content=iso filename=unverified.iso verify-certificates=0 url=" + secure.URL
	if exit := admin.task("POST", downloadPath, strings.Fields(unverified)...); exit != "OK" {
		t.Errorf("any certificate: %s", exit)
	}
	for url, want := range map[string]string{
		srv.URL + "/x.iso": "OK", "http://images.example/x.iso": "exit code 4", "http://192.0.2.1/x.iso": "exit code 4",
		secure.URL + "/x.iso": "exit code 5",
	} {
		exit := admin.task("POST", downloadPath, "content=iso", "filename="+sha([]byte(url))+".iso", "url="+url)
		if !strings.HasSuffix(exit, want) {
			t.Errorf("%s: %s", url, exit)
		}
	}
}
