package world

import (
	"encoding/json"
	"fmt"
	"strings"
)

// openFile is a handle of guest-file-open.
type openFile struct {
	path string
	mode string
	at   int // read so far
}

func (a *agent) fileOpen(arguments json.RawMessage) (any, error) {
	var in struct{ Path, Mode string }
	if json.Unmarshal(arguments, &in) != nil || in.Path == "" {
		return nil, refusal("Parameter 'path' is missing")
	}
	if in.Mode == "" {
		in.Mode = "r"
	}
	switch {
	case strings.HasPrefix(in.Mode, "r"):
		if _, ok := a.m.disk.read(in.Path); !ok {
			return nil, refusal(fmt.Sprintf("failed to open file '%s' (mode: '%s'): No such file or directory", in.Path, in.Mode))
		}
	case strings.HasPrefix(in.Mode, "w"), strings.HasPrefix(in.Mode, "a"):
		if !a.m.disk.write(in.Path, "", strings.HasPrefix(in.Mode, "a")) {
			return nil, refusal(fmt.Sprintf("failed to open file '%s' (mode: '%s'): No such file or directory", in.Path, in.Mode))
		}
	default:
		return nil, refusal(fmt.Sprintf("invalid file open mode '%s'", in.Mode))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lastFile++
	a.files[a.lastFile] = &openFile{path: in.Path, mode: in.Mode}
	return a.lastFile, nil
}

// handle finds an open file; the caller holds a.mu.
func (a *agent) handle(id int) (*openFile, error) {
	f := a.files[id]
	if f == nil {
		return nil, refusal(fmt.Sprintf("handle '%d' has not been found", id))
	}
	return f, nil
}

// readAtOnce is guest-file-read's default count.
const readAtOnce = 4096

func (a *agent) fileRead(arguments json.RawMessage) (any, error) {
	var in struct{ Handle, Count int }
	if json.Unmarshal(arguments, &in) != nil {
		return nil, refusal("Invalid parameter type")
	}
	if in.Count <= 0 {
		in.Count = readAtOnce
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := a.handle(in.Handle)
	if err != nil {
		return nil, err
	}
	text, _ := a.m.disk.read(f.path)
	f.at = min(f.at, len(text))
	end := min(f.at+in.Count, len(text))
	chunk := []byte(text[f.at:end])
	f.at = end
	return map[string]any{"count": len(chunk), "buf-b64": chunk, "eof": end == len(text)}, nil
}

func (a *agent) fileWrite(arguments json.RawMessage) (any, error) {
	var in struct {
		Handle int
		Buf    []byte `json:"buf-b64"`
	}
	if json.Unmarshal(arguments, &in) != nil {
		return nil, refusal("Invalid parameter 'buf-b64'")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := a.handle(in.Handle)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(f.mode, "r") || !a.m.disk.write(f.path, string(in.Buf), true) {
		return nil, refusal("failed to write to file: Bad file descriptor")
	}
	return map[string]any{"count": len(in.Buf), "eof": false}, nil
}

func (a *agent) fileClose(arguments json.RawMessage) (any, error) {
	var in struct{ Handle int }
	if json.Unmarshal(arguments, &in) != nil {
		return nil, refusal("Invalid parameter type")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.handle(in.Handle); err != nil {
		return nil, err
	}
	delete(a.files, in.Handle)
	return struct{}{}, nil
}
