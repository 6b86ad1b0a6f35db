package pve

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mayfly/internal/runner"
)

// snippetName gives the file name of a volume in local:snippets/; false for any other volume (pve-storage
// Storage/Plugin.pm, parse_volname: no folders).
func snippetName(volid string) (string, bool) {
	name, ok := strings.CutPrefix(volid, storageFiles+":snippets/")
	return name, ok && name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

// snippet finds a snippet in Options.SnippetsDir, which every node of the cluster sees; nil when it isn't there.
func (s *Server) snippet(volid string) *volume {
	name, ok := snippetName(volid)
	if !ok || s.opts.SnippetsDir == "" {
		return nil
	}
	info, err := os.Stat(filepath.Join(s.opts.SnippetsDir, name))
	if err != nil || info.IsDir() {
		return nil
	}
	size := runner.Bytes(info.Size())
	return &volume{content: "snippets", format: "snippet", size: size, used: size, ctime: info.ModTime()}
}

// snippetIDs lists the volids of all snippets but the hidden ones, which Proxmox's glob leaves out.
func (s *Server) snippetIDs() []string {
	if s.opts.SnippetsDir == "" {
		return nil
	}
	entries, err := os.ReadDir(s.opts.SnippetsDir)
	if err != nil {
		s.opts.Logger.Warn("snippets not listed", "reason", err)
		return nil
	}
	var ids []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			ids = append(ids, storageFiles+":snippets/"+e.Name())
		}
	}
	return ids
}

// volume finds a volume that a node sees: one that the server keeps, or a snippet.
func (s *Server) volume(node, volid string) *volume {
	if vol := s.volumes[s.key(node, volid)]; vol != nil {
		return vol
	}
	return s.snippet(volid)
}

// readSnippet gives the text of a volume that cicustom names (Cloudinit.pm, read_cloudinit_snippets_file). Like every look
// at the folder it is made with Server.mu held: the folder is on this machine, nothing waits.
func (s *Server) readSnippet(node, volid string) (string, *apiError) {
	name, ok := snippetName(volid)
	switch {
	case s.volume(node, volid) == nil:
		return "", failf("volume '%s' does not exist", volid)
	case !ok:
		return "", failf("%s is not in the snippets directory", volid)
	}
	path := s.storageByID(storageFiles).path("snippets/" + name)
	f, err := os.Open(filepath.Join(s.opts.SnippetsDir, name))
	if err != nil {
		return "", failf("can't open '%s' - %s", path, cause(err))
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSnippet+1))
	switch {
	case err != nil:
		return "", failf("unable to read file '%s' - %s", path, cause(err))
	case len(text) > maxSnippet:
		return "", failf("file '%s' too long - aborting", path)
	}
	return string(text), nil
}

// removeSnippet deletes a snippet's file.
func (s *Server) removeSnippet(volid string) *apiError {
	name, ok := snippetName(volid)
	if !ok || s.opts.SnippetsDir == "" {
		return nil
	}
	if err := os.Remove(filepath.Join(s.opts.SnippetsDir, name)); err != nil && !os.IsNotExist(err) {
		return failf("unlink '%s' failed - %s", s.storageByID(storageFiles).path("snippets/"+name), cause(err))
	}
	return nil
}

// cause is the reason without the path on this machine, which isn't the one that Proxmox would name.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
