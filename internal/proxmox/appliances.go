package proxmox

import (
	"context"
	"fmt"
	"net/http"
)

// Appliance is a container template that Proxmox's index knows.
type Appliance struct {
	// Template is the file's name: "debian-12-standard_12.12-1_amd64.tar.zst".
	Template string
	// Package is the name without a version: "debian-12-standard".
	Package string
	Version string
	// Location is its URL.
	Location string
	// SHA512 is the file's, in hexadecimal; old entries have only an MD5 sum and leave it empty.
	SHA512 string
}

// Appliances reads GET /nodes/{node}/aplinfo: every valid token may. The node refreshes the index daily.
func (c *Client) Appliances(ctx context.Context, node string) ([]Appliance, error) {
	op := "list container templates that node " + node + " can fetch"
	var list []struct {
		Template text `json:"template"`
		Package  text `json:"package"`
		Version  text `json:"version"`
		Location text `json:"location"`
		SHA512   text `json:"sha512sum"`
	}
	if err := c.do(ctx, call{op: op, method: http.MethodGet, path: nodePath(node, "aplinfo"), limit: remote}, &list); err != nil {
		return nil, err
	}
	out := make([]Appliance, 0, len(list))
	for i, w := range list {
		if w.Template == "" {
			return nil, unreadable(op, fmt.Errorf("entry %d names no file", i))
		}
		out = append(out, Appliance{
			Template: string(w.Template), Package: string(w.Package), Version: string(w.Version), Location: string(w.Location), SHA512: string(w.SHA512),
		})
	}
	return out, nil
}
