package proxmox_test

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"mayfly/internal/proxmox"
)

var containerPath = regexp.MustCompile(`^/nodes/([^/]+)/lxc(?:/(\d+))?(?:/([a-z]+(?:/[a-z]+)?))?$`)

// playContainer makes the call that a recording of a container is of.
func (r recording) playContainer(ctx context.Context, t *testing.T, c *proxmox.Client, node, id, rest string) (any, error) {
	t.Helper()
	form := r.form(t)
	if id == "" {
		return c.CreateContainer(ctx, node, proxmox.NewContainer{VMID: 200, Template: form.Get("ostemplate"), Pool: form.Get("pool")})
	}
	vmid, err := strconv.Atoi(id)
	if err != nil {
		t.Fatal(err)
	}
	switch r.Method + " " + rest {
	case "GET config":
		return c.ContainerConfig(ctx, node, vmid)
	case "PUT config":
		set := map[string]string{}
		for key := range form {
			if key != "digest" {
				set[key] = form.Get(key)
			}
		}
		return nil, c.SetContainerConfig(ctx, node, vmid, set, nil, form.Get("digest"))
	case "GET status/current":
		_, err := c.ContainerRunning(ctx, node, vmid)
		return nil, err
	case "POST status/start":
		return c.StartContainer(ctx, node, vmid)
	case "POST status/stop":
		return c.StopContainer(ctx, node, vmid)
	case "POST status/shutdown":
		return c.ShutdownContainer(ctx, node, vmid)
	case http.MethodDelete + " ":
		return c.DeleteContainer(ctx, node, vmid)
	}
	t.Fatalf("%s: nothing plays %s %s", r.Name, r.Method, r.Path)
	return nil, nil
}
