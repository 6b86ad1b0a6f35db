//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// shortestTrace is how long a trace is at least; shorter ones would be found by chance.
const shortestTrace = 16

// traces are what a disk that held a JIT configuration might hold of it, by what it is: itself, each file in it and each
// value of those that is secret, all of them raw, in base64 wherever it begins, in hex and URL-encoded.
func traces(t *testing.T, config string) map[string]string {
	t.Helper()
	all := map[string]string{}
	add := func(what, text string) {
		for form, s := range map[string]string{
			"": text, " in base64": inBase64(text, 0), " in base64 after 1 byte": inBase64(text, 1), " in base64 after 2 bytes": inBase64(text, 2),
			" in hex": hex.EncodeToString([]byte(text)), " URL-encoded": url.QueryEscape(text),
		} {
			if len(s) >= shortestTrace {
				all[what+form] = s
			}
		}
	}
	add("JIT configuration", config)
	outer, err := base64.StdEncoding.DecodeString(config)
	if err != nil {
		t.Fatalf("JIT configuration: %v", err)
	}
	add("its JSON", string(outer))
	var files map[string][]byte
	if err := json.Unmarshal(outer, &files); err != nil {
		t.Fatalf("JIT configuration: %v", err)
	}
	for _, name := range []string{".runner", ".credentials", ".credentials_rsaparams"} {
		text, ok := files[name]
		if !ok {
			t.Fatalf("JIT configuration without %s", name)
		}
		add(name, string(text))
		var values any
		if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), &values); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name != ".runner" { // names and addresses, which logs may tell
			secretValues(name, values, add)
		}
	}
	return all
}

// inBase64 is the base64 of a text that so many bytes precede, as far as it depends on the text alone.
func inBase64(text string, before int) string {
	encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + text))
	to := len(encoded)
	if (before+len(text))%3 != 0 {
		to-- // its last letter depends on what follows
	}
	from := []int{0, 2, 3}[before]
	return encoded[from:max(from, to)]
}

// secretValues passes on the values of a file of credentials that are this runner's alone.
func secretValues(name string, v any, add func(what, text string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if key != "scheme" && key != "authorizationUrl" && key != "exponent" { // the same for everybody
				secretValues(name+"'s "+key, value, add)
			}
		}
	case string:
		add(name, v)
		if number, err := base64.StdEncoding.DecodeString(v); err == nil {
			add(name+" itself", string(number))
		}
	}
}

// onDisk tells which traces the disk of a machine that is off holds.
func (m *machines) onDisk(vmid int, traces map[string]string) (found []string) {
	m.t.Helper()
	raw := filepath.Join(m.dir, "searched.raw")
	matches, err := filepath.Glob(filepath.Join(m.dir, "*", strconv.Itoa(vmid)+".qcow2"))
	if err != nil || len(matches) != 1 {
		m.t.Fatalf("disk of VM %d: %v, %v", vmid, matches, err)
	}
	if out, err := exec.CommandContext(m.t.Context(), "qemu-img", "convert", "-O", "raw", matches[0], raw).CombinedOutput(); err != nil {
		m.t.Fatalf("read disk of VM %d: %v: %s", vmid, err, out)
	}
	file, err := os.Open(raw)
	if err != nil {
		m.t.Fatal(err)
	}
	defer file.Close()
	const block = 4 << 20
	overlap := 0 // a trace may lie across two blocks
	for _, text := range traces {
		overlap = max(overlap, len(text))
	}
	buf := make([]byte, overlap+block)
	empty := make([]byte, block)
	left := map[string]string{}
	for what, text := range traces {
		left[what] = text
	}
	for {
		n, err := io.ReadFull(file, buf[overlap:])
		if n > 0 && !bytes.Equal(buf[overlap:overlap+n], empty[:n]) {
			for what, text := range left {
				if bytes.Contains(buf[:overlap+n], []byte(text)) {
					found = append(found, what)
					delete(left, what)
				}
			}
		}
		copy(buf, buf[n:overlap+n])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return found
		case err != nil:
			m.t.Fatal(err)
		}
	}
}
