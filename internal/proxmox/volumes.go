package proxmox

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// Volume is a disk or a file on a storage.
type Volume struct {
	// ID is "storage:iso/name.iso", "storage:vm-100-disk-0", ….
	ID string
	// Content is "images", "iso", "vztmpl", "import", "snippets", ….
	Content string
	Format  string
	Size    runner.Bytes
	// Created is when the storage says that it was made, to the second; the zero time where it says nothing.
	Created time.Time
	// VMID is the VM that a disk belongs to, 0 for none.
	VMID int
}

// Name is the part of the volume's ID after the storage and the content's folder: "name.iso".
func (v Volume) Name() string {
	_, rest, _ := strings.Cut(v.ID, ":")
	return rest[strings.LastIndexByte(rest, '/')+1:]
}

// Volumes reads GET /nodes/{node}/storage/{storage}/content (Datastore.Audit or Datastore.AllocateSpace): the volumes
// that the token may see there, of one content, or of all with "". Of snippets and backups it sees none without
// Datastore.Allocate.
func (c *Client) Volumes(ctx context.Context, node, storage, content string) ([]Volume, error) {
	params := url.Values{}
	if content != "" {
		params.Set("content", content)
	}
	var list []struct {
		ID      text    `json:"volid"`
		Content text    `json:"content"`
		Format  text    `json:"format"`
		Size    integer `json:"size"`
		Created integer `json:"ctime"`
		VMID    integer `json:"vmid"`
	}
	err := c.do(ctx, call{
		op: fmt.Sprintf("list storage %s of node %s", storage, node), method: http.MethodGet,
		path: nodePath(node, "storage", storage, "content"), params: params, limit: remote,
	}, &list)
	if err != nil {
		return nil, err
	}
	out := make([]Volume, 0, len(list))
	for _, w := range list {
		out = append(out, Volume{
			ID: string(w.ID), Content: string(w.Content), Format: string(w.Format), Size: w.Size.bytes(),
			Created: w.Created.moment(), VMID: int(w.VMID),
		})
	}
	return out, nil
}

// DeleteVolume removes a volume by its ID (Datastore.Allocate on its storage, whoever made it) and returns the task, of
// type imgdel. The task succeeds when there is no such file; a file that a VM still names as its CD-ROM goes, too, and
// that VM can't be started then.
func (c *Client) DeleteVolume(ctx context.Context, node, id string) (UPID, error) {
	op := fmt.Sprintf("delete %s on node %s", shorten(id), node)
	storage, name, ok := strings.Cut(id, ":")
	if !ok || storage == "" || name == "" {
		return "", &Error{Kind: BadParameter, Op: op, Message: "not a volume id"}
	}
	// The last part of the path may hold slashes, as they are (pve-storage API2/Storage/Content.pm: fragmentDelimiter).
	parts := append([]string{"storage", storage, "content"}, strings.Split(id, "/")...)
	return c.task(ctx, call{op: op, method: http.MethodDelete, path: nodePath(node, parts...), limit: change})
}
