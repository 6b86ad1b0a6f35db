package proxmox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// guestConfig reads the config of a VM or a container: every key of the reply, verbatim.
func (c *Client) guestConfig(ctx context.Context, guest, path string) (map[string]string, error) {
	op := "read config of " + guest
	var w map[string]json.RawMessage
	if err := c.do(ctx, call{op: op, method: http.MethodGet, path: path, limit: remote}, &w); err != nil {
		return nil, err
	}
	if w == nil {
		return nil, unreadable(op, errors.New("no config in it"))
	}
	v := make(map[string]string, len(w))
	for key, raw := range w {
		v[key] = scalar(raw)
	}
	return v, nil
}

// setGuestConfig changes the config of a VM or a container: set holds new values, del the options to remove; digest, if
// any, is that of the config that this is about.
func (c *Client) setGuestConfig(ctx context.Context, guest, path string, set map[string]string, del []string, digest string) error {
	form := url.Values{}
	for key, value := range set {
		form.Set(key, value)
	}
	if len(del) > 0 {
		form.Set("delete", strings.Join(del, ","))
	}
	if digest != "" {
		form.Set("digest", digest)
	}
	keys := slices.Sorted(maps.Keys(set))
	for _, key := range del {
		keys = append(keys, "-"+key)
	}
	return c.do(ctx, call{
		op:     fmt.Sprintf("set %s of %s", strings.Join(keys, ","), guest),
		method: http.MethodPut, path: path, params: form, limit: change,
	}, nil)
}
