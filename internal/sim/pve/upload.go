package pve

import (
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
	"regexp"
	"slices"
	"strings"
)

// maxUpload bounds an upload here; Proxmox has no limit but its disk.
const maxUpload = 16 << 30

// uploadedFile is the file of an upload, before it is put in place.
type uploadedFile struct {
	name string
	file *file
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
		if name != "filename" {
			data, err := io.ReadAll(io.LimitReader(part, maxBody))
			if err != nil {
				return fmt.Errorf("read upload: %w", err)
			}
			q.params[name] = strings.TrimSpace(string(data))
			continue
		}
		if part.FileName() == "" {
			return uploadBroken()
		}
		in := io.Reader(part)
		if room := s.opts.UploadRoom; room > 0 {
			in = io.MultiReader(io.LimitReader(part, int64(room)), &fullDisk{part})
		}
		f, err := s.newFile(in)
		if errors.Is(err, errNoSpace) {
			return &apiError{status: http.StatusInternalServerError, text: true, msg: "write to temporary file failed - " + errNoSpace.Error()}
		}
		if err != nil {
			return fmt.Errorf("read upload: %w", err)
		}
		q.params["filename"] = part.FileName()
		q.upload = &uploadedFile{name: part.FileName(), file: f}
		return nil
	}
}

// errNoSpace is ENOSPC, as Perl writes it.
var errNoSpace = errors.New("No space left on device") //nolint:staticcheck // Proxmox's own words

// fullDisk is what is left of a file when the disk that it is written to is full.
type fullDisk struct{ rest io.Reader }

// Read fails at the first byte.
func (f *fullDisk) Read(p []byte) (int, error) {
	n, err := f.rest.Read(p)
	if n > 0 {
		return 0, errNoSpace
	}
	return 0, err
}

// upload is POST upload: the checks, then a task that moves the file to its place, over whatever is there.
func (s *Server) upload(q *call) (any, error) {
	st := s.storageByID(q.params.str("storage"))
	content := q.params.str("content")
	switch {
	case st == nil:
		return nil, failf("storage '%s' does not exist", q.params.str("storage"))
	case !st.files():
		return nil, failf("can't upload to storage type '%s'", st.kind)
	case q.upload == nil:
		return nil, uploadBroken()
	}
	name, err := contentFileName(content, q.upload.name)
	if err != nil {
		return nil, err
	}
	if !st.holds(content) {
		return nil, failf("storage '%s' does not support '%s' content", st.id, content)
	}
	up := &upload{
		file: q.upload.file, node: q.node.name, storage: st, content: content, name: name,
		sum: strings.ToLower(q.params.str("checksum")), algorithm: q.params.str("checksum-algorithm"),
	}
	s.lock()
	up.tmp = fmt.Sprintf("/var/tmp/pveupload-%016x%016x", s.random(), s.random())
	s.mu.Unlock()
	return s.fork(q.node.name, "imgcopy", "", q.token, func(ctx context.Context, w *worker) error {
		err := s.runUpload(ctx, w, up)
		if err != nil && !killed(s.ctx, err) {
			return errors.Join(err, up.file.remove())
		}
		return err
	}), nil
}

// upload is a file on its way from /var/tmp to a storage.
type upload struct {
	file           *file
	node, tmp      string
	storage        *storage
	content, name  string
	sum, algorithm string // the checksum that was promised
}

// runUpload is the imgcopy worker.
func (s *Server) runUpload(ctx context.Context, w *worker, up *upload) error {
	w.say("starting file import from: " + up.tmp)
	if up.sum != "" {
		got, err := up.file.sum(up.algorithm)
		if err != nil {
			return err
		}
		if got != up.sum {
			w.say("calculating checksum...")
			return failf("checksum mismatch: got '%s' != expect '%s'", got, up.sum)
		}
		w.say("calculating checksum...OK, checksum verified")
	}
	if err := checkContent(up.file, up.content, up.name, up.tmp); err != nil {
		return err
	}
	target := up.storage.path(up.content + "/" + up.name)
	w.say("target node: " + up.node)
	w.say("target file: " + target)
	w.say(fmt.Sprintf("file size is: %d", up.file.size))
	w.say("command: cp -- " + up.tmp + " " + target)
	if err := pause(ctx, s.opts.Timing.Config); err != nil {
		return err
	}
	s.placeFile(up.node, up.storage, up.content, up.name, up.file)
	w.say("finished file import successfully")
	return nil
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

// sum is a checksum of the file, in hexadecimal.
func (f *file) sum(algorithm string) (string, error) {
	in, err := f.open()
	if err != nil {
		return "", fmt.Errorf("read file: %w", err)
	}
	defer func() { _ = in.Close() }()
	h := hasher(algorithm)
	if _, err := io.Copy(h, in); err != nil {
		return "", fmt.Errorf("read file: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
