package proxmox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// DirMapping is a directory mapping (Datacenter, Resource Mappings), a section of a file that all nodes share. Proxmox
// VE has them since 8.4.
type DirMapping struct {
	// Description is one line of ASCII, at most 4096 characters; it stands in no log.
	Description string
	// Map names a directory for each node, "node=pve1,path=/srv"; at least one. A path is looked for only on the node that
	// is asked, and only where it is that node's.
	Map []string
	// Digest is of the whole file, so that it changes with any other mapping, too. The same content has the same digest.
	Digest string
}

// ErrChanged is the cause of an error of [Client.SetDirMapping]: the file has another digest, so nothing was written.
// It is the write's own check, under a lock that the whole cluster has: of two writers with one digest one succeeds.
var ErrChanged = errors.New("another digest by now")

func mappingPath(id string) string { return "/cluster/mapping/dir/" + url.PathEscape(id) }

// DirMapping reads GET /cluster/mapping/dir/{id}; it takes Mapping.Audit, Mapping.Use or Mapping.Modify on
// /mapping/dir/{id}. The node that is asked answers from its own copy, which lags behind where it has no quorum.
func (c *Client) DirMapping(ctx context.Context, id string) (DirMapping, error) {
	var w struct {
		Description text   `json:"description"`
		Map         []text `json:"map"`
		Digest      text   `json:"digest"`
	}
	op := "read directory mapping " + id
	if err := c.do(ctx, call{op: op, method: http.MethodGet, path: mappingPath(id), limit: local}, &w); err != nil {
		return DirMapping{}, err
	}
	if w.Digest == "" {
		return DirMapping{}, unreadable(op, errors.New("it has no digest"))
	}
	m := DirMapping{Description: string(w.Description), Digest: string(w.Digest)}
	for _, e := range w.Map {
		m.Map = append(m.Map, string(e))
	}
	return m, nil
}

// CreateDirMapping makes a mapping (POST /cluster/mapping/dir); it takes Mapping.Modify on /mapping/dir. The digest is
// left out. One of that name is Exists.
func (c *Client) CreateDirMapping(ctx context.Context, id string, m DirMapping) error {
	return c.do(ctx, call{
		op: "make directory mapping " + id, method: http.MethodPost, path: "/cluster/mapping/dir", limit: change,
		params: url.Values{"id": {id}, "map": m.Map, "description": {m.Description}},
	}, nil)
}

// SetDirMapping writes a mapping anew, but only while the file's digest is still m.Digest (PUT
// /cluster/mapping/dir/{id}; Mapping.Modify on that path), else the error's cause is [ErrChanged]. Where the node without
// quorum is asked nothing is written either, after 10 s.
func (c *Client) SetDirMapping(ctx context.Context, id string, m DirMapping) error {
	err := c.do(ctx, call{
		op: fmt.Sprintf("write directory mapping %s", id), method: http.MethodPut, path: mappingPath(id), limit: change,
		params: url.Values{"map": m.Map, "description": {m.Description}, "digest": {m.Digest}},
	}, nil)
	var e *Error
	if errors.As(err, &e) && e.Kind == Busy && strings.Contains(e.Message, digestWords) {
		e.Cause = ErrChanged
	}
	return err
}

// digestWords are Proxmox's for a digest that isn't the file's any more (pve-common Tools.pm, assert_if_modified).
const digestWords = "detected modified configuration"
