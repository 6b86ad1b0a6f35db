package proxmox

import (
	"context"
	"net/http"
	"net/url"
	"path"

	"mayfly/internal/runner"
)

// Version is what the asked node runs.
type Version struct {
	Version string // "9.2.11"
	Release string // "9.2"
}

// Version reads GET /version; every valid token may. It is the cheapest check of address and token.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var w struct {
		Version text `json:"version"`
		Release text `json:"release"`
	}
	err := c.do(ctx, call{op: "read version", method: http.MethodGet, path: "/version", limit: local}, &w)
	return Version{Version: string(w.Version), Release: string(w.Release)}, err
}

// Permissions reads GET /access/permissions: for each path with a grant the token's privileges there, each with
// whether it also holds below the path. It needs no privilege.
func (c *Client) Permissions(ctx context.Context) (map[string]map[string]bool, error) {
	var w map[string]map[string]flag
	err := c.do(ctx, call{op: "read permissions", method: http.MethodGet, path: "/access/permissions", limit: local}, &w)
	if err != nil {
		return nil, err
	}
	out := make(map[string]map[string]bool, len(w))
	for path, grants := range w {
		out[path] = make(map[string]bool, len(grants))
		for privilege, propagate := range grants {
			out[path][privilege] = bool(propagate)
		}
	}
	return out, nil
}

// Holds reports whether the token has a privilege on a path, of what [Client.Permissions] gave: Proxmox names the paths that
// have an entry of their own, and below those what propagates holds (pve-access-control RPCEnvironment.pm,
// get_effective_permissions).
func Holds(granted map[string]map[string]bool, on, privilege string) bool {
	if here, own := granted[on]; own {
		_, yes := here[privilege]
		return yes
	}
	for on != "/" && on != "." {
		on = path.Dir(on)
		if above, own := granted[on]; own {
			return above[privilege]
		}
	}
	return false
}

// PermissionsOn reads GET /access/permissions?path=…: what the token may on one path, of whatever is granted above it
// and, for a VM, in its resource pool.
func (c *Client) PermissionsOn(ctx context.Context, path string) (map[string]bool, error) {
	var w map[string]map[string]flag
	err := c.do(ctx, call{
		op: "read permissions on " + path, method: http.MethodGet, path: "/access/permissions", params: url.Values{"path": {path}}, limit: local,
	}, &w)
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(w[path]))
	for privilege := range w[path] {
		out[privilege] = true
	}
	return out, nil
}

// TagRules are the datacenter's rules for tags, as far as the token is shown them.
type TagRules struct {
	// Allowed are tags that the token may set whatever UserAllow says.
	Allowed []string
	// UserAllow is "free" (every tag but Registered), "existing", "list" or "none"; "" where it isn't shown.
	UserAllow string
	// Registered are tags that only Sys.Modify on "/" may set, unless they are in Allowed.
	Registered []string
}

// AllowedTags reads the rules for tags from GET /cluster/options. Every valid token may; without Sys.Audit on "/" only
// Allowed is shown (pve-manager PVE/API2/Cluster.pm, get_options).
func (c *Client) AllowedTags(ctx context.Context) (TagRules, error) {
	var w struct {
		Allowed    words `json:"allowed-tags"`
		Registered words `json:"registered-tags"`
		Access     struct {
			UserAllow text `json:"user-allow"`
		} `json:"user-tag-access"`
	}
	err := c.do(ctx, call{op: "read tag rules", method: http.MethodGet, path: "/cluster/options", limit: local}, &w)
	return TagRules{Allowed: w.Allowed, UserAllow: string(w.Access.UserAllow), Registered: w.Registered}, err
}

// Storage is a storage as one node sees it.
type Storage struct {
	Name string
	// Type is the plugin: "dir", "lvmthin", "zfspool", "rbd", "nfs", …
	Type string
	// Content is what it may hold: "images", "iso", "snippets", …
	Content []string
	// Shared says that every node sees the same volumes.
	Shared bool
	// Enabled is the administrator's wish, Active whether the node reaches it.
	Enabled, Active    bool
	Total, Used, Avail runner.Bytes
}

// Storages reads GET /nodes/{node}/storage: the storages that the token may use there (Datastore.Audit or
// Datastore.AllocateSpace), with live figures. A dead NFS server can make it hang until Proxmox gives up at 30 s.
func (c *Client) Storages(ctx context.Context, node string) ([]Storage, error) {
	var list []struct {
		Storage text    `json:"storage"`
		Type    text    `json:"type"`
		Content text    `json:"content"`
		Shared  flag    `json:"shared"`
		Enabled flag    `json:"enabled"`
		Active  flag    `json:"active"`
		Total   integer `json:"total"`
		Used    integer `json:"used"`
		Avail   integer `json:"avail"`
	}
	err := c.do(ctx, call{op: "list storages of node " + node, method: http.MethodGet, path: nodePath(node, "storage"), limit: remote}, &list)
	if err != nil {
		return nil, err
	}
	out := make([]Storage, 0, len(list))
	for _, w := range list {
		out = append(out, Storage{
			Name: string(w.Storage), Type: string(w.Type), Content: splitList(string(w.Content)), Shared: bool(w.Shared),
			Enabled: bool(w.Enabled), Active: bool(w.Active),
			Total: w.Total.bytes(), Used: w.Used.bytes(), Avail: w.Avail.bytes(),
		})
	}
	return out, nil
}
