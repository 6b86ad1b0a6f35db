package pve

import (
	"path"
	"regexp"
	"strings"
	"time"
)

// contentNames are the contents that come as files, and the ends of the names that they may have (pve-storage Storage.pm:
// ISO_EXT_RE_0, VZTMPL_EXT_RE_1, UPLOAD_IMPORT_EXT_RE_1).
var contentNames = map[string]*regexp.Regexp{
	"iso":    regexp.MustCompile(`[^/]\.(?i:iso|img)$`),
	"vztmpl": regexp.MustCompile(`[^/]\.(?i:tar(\.(gz|xz|zst|bz2))?)$`),
	"import": regexp.MustCompile(`[a-zA-Z0-9\-.+=_]\.(ova|qcow2|raw|vmdk)$`),
}

var notInFileName = regexp.MustCompile(`[^a-zA-Z0-9_.-]`)

// contentFileName is the name that a file gets on a storage (pve-storage Storage.pm, normalize_content_filename).
func contentFileName(content, name string) (string, *apiError) {
	name = strings.TrimSuffix(name, "\n")
	name = notInFileName.ReplaceAllString(name[strings.LastIndexAny(name, `/\`)+1:], "_")
	form := contentNames[content]
	switch {
	case form == nil:
		return "", badParam("content", "upload content type '%s' not allowed", content)
	case form.MatchString(name):
		return name, nil
	case content == "import":
		return "", badParam("filename", "invalid filename or wrong extension")
	}
	return "", badParam("filename", "wrong file extension")
}

// checkContent is how Proxmox looks into a file before it puts it in place. Archives of virtual machines (OVA) aren't
// looked into here.
func checkContent(f *file, content, name, tmp string) error {
	format := fileFormat(content, name)
	if content != "import" || format == "ova" {
		return nil
	}
	_, err := checkImage(f, format, tmp)
	return err
}

// placeFile puts a file on a node's storage, over whatever is there.
func (s *Server) placeFile(node string, st *storage, content, name string, f *file) {
	s.lock()
	defer s.mu.Unlock()
	key := s.key(node, st.id+":"+content+"/"+name)
	if old := s.volumes[key]; old != nil {
		s.dropFile(old)
	}
	s.volumes[key] = &volume{content: content, format: fileFormat(content, name), size: f.size, used: f.size, ctime: time.Now(), file: f}
}

// dropFile frees a volume's file.
func (s *Server) dropFile(vol *volume) {
	if err := vol.file.remove(); err != nil {
		s.opts.Logger.Warn("file of a volume not removed", "reason", err)
	}
}

// fileFormat is what lists call the format of a file.
func fileFormat(content, name string) string {
	switch content {
	case "iso":
		return "iso"
	case "vztmpl":
		ext := strings.TrimPrefix(path.Ext(name), ".")
		if ext == "tar" {
			return "tar"
		}
		return "t" + ext
	case "snippets":
		return "snippet"
	}
	return strings.TrimPrefix(path.Ext(name), ".")
}
