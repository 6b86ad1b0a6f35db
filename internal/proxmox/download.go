package proxmox

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// Download is a file that a node fetches by itself.
type Download struct {
	Storage string
	// Content is "iso", "vztmpl" or "import"; images of content "import" take Proxmox VE 8.4.
	Content string
	// Name is the file's on the storage: see [Upload].
	Name string
	// URL is http or https; it shows in the task's log and in the node's system log, so it holds no secret. The node
	// resolves it and goes through its datacenter's http_proxy.
	URL string
	// Checksum in hexadecimal, and what it is of: "sha256", "sha512", "sha1", "md5", …. Empty to check nothing.
	Checksum, Algorithm string
	// AnyCertificate trusts every server.
	AnyCertificate bool
}

// DownloadURL starts POST /nodes/{node}/storage/{storage}/download-url and returns the task, of type download. It takes
// Datastore.AllocateTemplate on the storage, and Sys.AccessNetwork on the node (Proxmox VE 8.2 and later) or Sys.Audit
// and Sys.Modify on "/".
//
// Everything about the source shows in the task alone: "download failed: command 'wget …' failed: exit code 4", or
// "checksum mismatch: got …". A file of that name is never replaced: with a checksum that it has the task succeeds at
// once, else it fails (pve-common Tools.pm, download_file_from_url). wget's progress is in the task's log: see
// [Progress].
func (c *Client) DownloadURL(ctx context.Context, node string, d Download) (UPID, error) {
	op := fmt.Sprintf("download %s to storage %s of node %s", shorten(d.Name), d.Storage, node)
	if !uploadName.MatchString(d.Name) {
		return "", &Error{Kind: BadParameter, Op: op, Message: "Proxmox would store it under another name", Hint: "use letters, digits, _, . and - only"}
	}
	form := url.Values{"content": {d.Content}, "filename": {d.Name}, "url": {d.URL}}
	if d.Checksum != "" {
		form.Set("checksum", d.Checksum)
		form.Set("checksum-algorithm", d.Algorithm)
	}
	if d.AnyCertificate {
		form.Set("verify-certificates", "0")
	}
	return c.task(ctx, call{
		op: op, method: http.MethodPost, path: nodePath(node, "storage", d.Storage, "download-url"), params: form, limit: change,
	})
}
