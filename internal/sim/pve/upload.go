package pve

import (
	"bytes"
	"context"
	"crypto/md5"  //nolint:gosec // one of the algorithms that Proxmox offers
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// maxUpload bounds an upload here; Proxmox has no limit but its disk.
const maxUpload = 256 << 20

// uploadedFile is the file of an upload, before it is put in place.
type uploadedFile struct {
	name string
	data []byte
}

// uploadBoundary is the one form of Content-Type that the server reads: no quotes around the boundary.
var uploadBoundary = regexp.MustCompile(`^multipart/form-data; boundary=([^\s"]+)$`)

// uploadBroken is what the HTTP layer says of a body that isn't as it wants it (recorded from Proxmox VE 9.2).
func uploadBroken() *apiError {
	return &apiError{status: http.StatusInternalServerError, text: true, msg: "upload failed at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 1370."}
}

// readUpload reads a multipart body as pveproxy does: the fields first, in any number, the file last and in a part
// called "filename"; whatever follows the file isn't read (pve-http-server AnyEvent.pm, file_upload_multipart).
func (s *Server) readUpload(r *http.Request, ctype string, q *call) error {
	m := uploadBoundary.FindStringSubmatch(ctype)
	if m == nil {
		return uploadBroken()
	}
	parts := multipart.NewReader(http.MaxBytesReader(nil, r.Body, maxUpload), m[1])
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return uploadBroken()
		}
		if err != nil {
			return fmt.Errorf("read upload: %w", err)
		}
		name := part.FormName()
		if part.FileName() != "" && name != "filename" {
			return &apiError{status: http.StatusInternalServerError, text: true, msg: fmt.Sprintf(
				"wrong field name '%s' for file upload, expected 'filename' at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 1325.", name)}
		}
		if name != "filename" && !slices.Contains([]string{"content", "checksum", "checksum-algorithm"}, name) {
			return uploadBroken()
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return fmt.Errorf("read upload: %w", err)
		}
		if name != "filename" {
			q.params[name] = strings.TrimSpace(string(data))
			continue
		}
		if part.FileName() == "" {
			return uploadBroken()
		}
		q.params["filename"] = part.FileName()
		q.upload = &uploadedFile{name: part.FileName(), data: data}
		return nil
	}
}

// uploadKinds are the contents that can be uploaded: their folders and the names that are accepted (pve-storage
// Storage.pm: ISO_EXT_RE_0, VZTMPL_EXT_RE_1, IMPORT_EXT_RE_1).
var uploadKinds = map[string]struct {
	dir string
	ext *regexp.Regexp
}{
	"iso":    {"template/iso", regexp.MustCompile(`\.(?i:iso|img)$`)},
	"vztmpl": {"template/cache", regexp.MustCompile(`\.tar(\.(gz|xz|zst|bz2))?$`)},
	"import": {"import", regexp.MustCompile(`\.(ova|qcow2|raw|vmdk)$`)},
}

var notInFileName = regexp.MustCompile(`[^a-zA-Z0-9_.-]`)

// upload is POST upload: the checks, then a task that moves the file to its place, over whatever is there.
func (s *Server) upload(q *call) (any, error) {
	st := storageByID(q.params.str("storage"))
	content := q.params.str("content")
	kind := uploadKinds[content]
	switch {
	case st == nil:
		return nil, failf("storage '%s' does not exist", q.params.str("storage"))
	case !st.files():
		return nil, failf("can't upload to storage type '%s'", st.kind)
	case q.upload == nil:
		return nil, uploadBroken()
	}
	name := notInFileName.ReplaceAllString(path.Base(q.upload.name), "_")
	if !kind.ext.MatchString(name) {
		return nil, badParam("filename", "wrong file extension")
	}
	if !st.holds(content) {
		return nil, failf("storage '%s' does not support '%s' content", st.id, content)
	}
	sum, algorithm := strings.ToLower(q.params.str("checksum")), q.params.str("checksum-algorithm")
	data, node := q.upload.data, q.node.name
	return s.fork(node, "imgcopy", "", q.token, func(ctx context.Context, w *worker) error {
		tmp := "/var/tmp/pveupload-" + hexOf(md5.New(), data) //nolint:gosec // a name
		w.say("starting file import from: " + tmp)
		if sum != "" {
			got := hexOf(hasher(algorithm), data)
			if got != sum {
				w.say("calculating checksum...")
				return failf("checksum mismatch: got '%s' != expect '%s'", got, sum)
			}
			w.say("calculating checksum...OK, checksum verified")
		}
		target := "/var/lib/vz/" + kind.dir + "/" + name
		w.say("target node: " + node)
		w.say("target file: " + target)
		w.say(fmt.Sprintf("file size is: %d", len(data)))
		w.say("command: cp -- " + tmp + " " + target)
		if err := pause(ctx, s.opts.Timing.Config); err != nil {
			return err
		}
		s.lock()
		s.volumes[node+"/"+st.id+":"+content+"/"+name] = &volume{
			content: content, format: fileFormat(content, name), size: runner.Bytes(len(data)), used: runner.Bytes(len(data)),
			ctime: time.Now(), data: bytes.Clone(data),
		}
		s.mu.Unlock()
		w.say("finished file import successfully")
		return nil
	}), nil
}

// hasher is one of the algorithms that the schema admits.
func hasher(algorithm string) hash.Hash {
	switch algorithm {
	case "md5":
		return md5.New() //nolint:gosec // Proxmox offers it
	case "sha1":
		return sha1.New() //nolint:gosec // likewise
	case "sha224":
		return sha256.New224()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return sha256.New()
}

func hexOf(h hash.Hash, data []byte) string {
	_, _ = h.Write(data) // a hash takes everything
	return hex.EncodeToString(h.Sum(nil))
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
