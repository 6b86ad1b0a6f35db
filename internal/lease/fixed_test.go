package lease_test

import (
	"context"
	"strings"

	"mayfly/internal/proxmox"
)

// fixed is a store that always answers the same.
type fixed struct {
	text        string
	err, create error
}

func (f *fixed) DirMapping(context.Context, string) (proxmox.DirMapping, error) {
	return proxmox.DirMapping{Description: f.text, Digest: "d"}, f.err
}

func (f *fixed) CreateDirMapping(context.Context, string, proxmox.DirMapping) error { return f.create }

func (f *fixed) SetDirMapping(context.Context, string, proxmox.DirMapping) error { return nil }

// closing is a request's body that knows whether it was closed.
type closing struct {
	*strings.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}
