package proxmox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"mayfly/internal/runner"
)

// Upload is a file for a storage.
type Upload struct {
	Storage string
	// Content is "iso", "vztmpl" or "import"; Proxmox takes no snippets.
	Content string
	// Name is the file's on the storage, of letters, digits, "_", "." and "-", with an extension that fits the content.
	Name string
	// Body is read once for each endpoint that is tried, and once before for its checksum where SHA256 is "".
	Body io.ReaderAt
	Size int64 // bytes
	// SHA256 is the body's, in hexadecimal. Proxmox compares it in the task.
	SHA256 string
	// Progress, if set, is told how many bytes of the body were sent, from another goroutine and never after Upload has
	// returned. A second attempt begins again.
	Progress func(sent int64)
	// Secrets are what the body holds that no error may repeat.
	Secrets []runner.Secret
}

// uploadName is what Proxmox leaves as it is (pve-storage Storage.pm, normalize_content_filename).
var uploadName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}$`)

// slowest is the rate in bytes per second below which an upload is given up: Proxmox has no limit but 5 s of silence.
const slowest = 256 << 10

// Upload sends POST /nodes/{node}/storage/{storage}/upload (Datastore.AllocateTemplate) and returns the task, of type
// imgcopy; the file is there when that ended well. A file of that name is overwritten, so that the same upload may be
// repeated. Proxmox keeps what arrives in /var/tmp of the node that was asked and copies it from there, to another node
// by scp.
func (c *Client) Upload(ctx context.Context, node string, u Upload) (UPID, error) {
	op := fmt.Sprintf("upload %s to storage %s of node %s", shorten(u.Name), u.Storage, node)
	if !uploadName.MatchString(u.Name) {
		return "", &Error{Kind: BadParameter, Op: op, Message: "Proxmox would store it under another name", Hint: "use letters, digits, _, . and - only"}
	}
	if u.SHA256 == "" {
		sum := sha256.New()
		if _, err := io.Copy(sum, io.NewSectionReader(u.Body, 0, u.Size)); err != nil {
			return "", &Error{Kind: BadParameter, Op: op, Message: "can't be read: " + err.Error(), Cause: err}
		}
		u.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	var secrets []string
	for _, s := range u.Secrets {
		secrets = append(secrets, secretForms(s.Reveal())...)
	}
	f, err := newForm(u)
	if err != nil {
		return "", &Error{Kind: BadParameter, Op: op, Message: "can't be sent: " + err.Error(), Cause: err}
	}
	defer f.end()
	allowed := change.attempt + time.Duration(u.Size/slowest)*time.Second
	return c.task(ctx, call{
		op: op, method: http.MethodPost, path: nodePath(node, "storage", u.Storage, "upload"), upload: f, secrets: secrets,
		limit: limit{attempt: allowed, call: allowed + change.call - change.attempt},
	})
}

// form is an upload's multipart body. pveproxy reads no other order than content, checksum-algorithm, checksum, filename
// (pve-http-server AnyEvent.pm, file_upload_multipart).
type form struct {
	head, tail []byte
	kind       string // Content-Type
	file       io.ReaderAt
	size       int64

	mu       sync.Mutex
	progress func(int64) // nil after the end
}

func newForm(u Upload) (*form, error) {
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	for _, field := range [][2]string{{"content", u.Content}, {"checksum-algorithm", "sha256"}, {"checksum", strings.ToLower(u.SHA256)}} {
		if err := w.WriteField(field[0], field[1]); err != nil {
			return nil, err
		}
	}
	if _, err := w.CreateFormFile("filename", u.Name); err != nil {
		return nil, err
	}
	before := head.Len()
	if err := w.Close(); err != nil {
		return nil, err
	}
	all := head.Bytes()
	return &form{
		head: all[:before:before], tail: all[before:], kind: w.FormDataContentType(), file: u.Body, size: u.Size, progress: u.Progress,
	}, nil
}

// length is the body's whole length: Proxmox refuses chunks.
func (f *form) length() int64 { return int64(len(f.head)) + f.size + int64(len(f.tail)) }

// body gives a body for one attempt. Of an attempt that failed the transport may go on reading for a moment.
func (f *form) body() io.ReadCloser {
	file := &counted{f: f, r: io.NewSectionReader(f.file, 0, f.size)}
	return io.NopCloser(io.MultiReader(bytes.NewReader(f.head), file, bytes.NewReader(f.tail)))
}

// end silences the progress.
func (f *form) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.progress = nil
}

// counted tells the progress of one attempt.
type counted struct {
	f    *form
	r    io.Reader
	sent int64
}

// Read implements [io.Reader].
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sent += int64(n)
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if n > 0 && c.f.progress != nil {
		c.f.progress(c.sent)
	}
	return n, err
}
