package proxmox_test

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/proxmox"
)

func TestContainerCallsSendWhatProxmoxAccepts(t *testing.T) {
	const done = `{"data":"` + upid + `"}`
	for _, tc := range []struct {
		reply, request string
		form           url.Values
		call           func(context.Context, *proxmox.Client) error
	}{
		{
			reply: done, request: "POST /api2/json/nodes/pve1/lxc",
			form: url.Values{"vmid": {"201"}, "ostemplate": {"local:vztmpl/x.tar.zst"}, "pool": {"ci"}, "rootfs": {"local:4"}},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.CreateContainer(ctx, "pve1", proxmox.NewContainer{
					VMID: 201, Template: "local:vztmpl/x.tar.zst", Pool: "ci", Options: map[string]string{"rootfs": "local:4"},
				})
				return err
			},
		},
		{
			reply: `{"data":null}`, request: "PUT /api2/json/nodes/pve1/lxc/201/config",
			form: url.Values{"tags": {"a;b"}, "delete": {"description,onboot"}, "digest": {"abc"}},
			call: func(ctx context.Context, c *proxmox.Client) error {
				return c.SetContainerConfig(ctx, "pve1", 201, map[string]string{"tags": "a;b"}, []string{"description", "onboot"}, "abc")
			},
		},
		{
			reply: done, request: "POST /api2/json/nodes/pve1/lxc/201/status/start", form: url.Values{},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.StartContainer(ctx, "pve1", 201)
				return err
			},
		},
		{
			reply: done, request: "POST /api2/json/nodes/pve1/lxc/201/status/shutdown", form: url.Values{},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.ShutdownContainer(ctx, "pve1", 201)
				return err
			},
		},
		{
			reply: done, request: "DELETE /api2/json/nodes/pve1/lxc/201", form: url.Values{},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.DeleteContainer(ctx, "pve1", 201)
				return err
			},
		},
	} {
		t.Run(tc.request, func(t *testing.T) {
			w := newWire(t, false, always(reply("200 OK", tc.reply)))
			if err := tc.call(t.Context(), newClient(t, nil, w.URL)); err != nil {
				t.Fatal(err)
			}
			sent := w.requests()
			if len(sent) != 1 || sent[0].Method+" "+sent[0].URI != tc.request {
				t.Fatalf("sent %+v", sent)
			}
			form, err := url.ParseQuery(sent[0].Body)
			if diff := cmp.Diff(tc.form, form); err != nil || diff != "" {
				t.Errorf("body (-want +got): %v\n%s", err, diff)
			}
		})
	}
}

func TestContainerConfigIsRead(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK", `{"data":{"tags":"b;a","arch":"amd64","rootfs":"local:200/vm-200-disk-0.raw,size=1G",`+
		`"memory":128,"hostname":"ct1","digest":"a533","lock":"create","protection":1,"description":"x\n"}}`)))
	got, err := newClient(t, nil, w.URL).ContainerConfig(t.Context(), "pve1", 200)
	if err != nil {
		t.Fatal(err)
	}
	keys := slices.Sorted(maps.Keys(got.Values))
	if got.Hostname != "ct1" || got.Digest != "a533" || got.Lock != "create" || !got.Protection || got.Description != "x\n" ||
		got.Values["memory"] != "128" || !slices.Equal(got.Tags, []string{"b", "a"}) || len(keys) != 9 {
		t.Errorf("%+v", got)
	}
}

func TestAppliancesAreReadAndMustHaveAName(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK", `{"data":[{"template":"debian-12-standard_12.12-1_amd64.tar.zst","package":"debian-12-standard",`+
		`"version":"12.12-1","location":"http://images.example/d.tar.zst","sha512sum":"ab"}]}`)))
	list, err := newClient(t, nil, w.URL).Appliances(t.Context(), "pve1")
	want := []proxmox.Appliance{{
		Template: "debian-12-standard_12.12-1_amd64.tar.zst", Package: "debian-12-standard", Version: "12.12-1",
		Location: "http://images.example/d.tar.zst", SHA512: "ab",
	}}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	w = newWire(t, false, always(reply("200 OK", `{"data":[{"package":"x"}]}`)))
	if list, err := newClient(t, nil, w.URL).Appliances(t.Context(), "pve1"); !errors.Is(err, proxmox.Unavailable) {
		t.Errorf("without a name: %v, %v", list, err)
	}
}

func TestContainerThatRunsOrDoesntIsToldFromOneWithoutAStatus(t *testing.T) {
	for body, want := range map[string]bool{`{"data":{"status":"running"}}`: true, `{"data":{"status":"stopped"}}`: false} {
		w := newWire(t, false, always(reply("200 OK", body)))
		if got, err := newClient(t, nil, w.URL).ContainerRunning(t.Context(), "pve1", 201); err != nil || got != want {
			t.Errorf("%s: %v, %v", body, got, err)
		}
	}
	w := newWire(t, false, always(reply("200 OK", `{"data":{}}`)))
	if _, err := newClient(t, nil, w.URL).ContainerRunning(t.Context(), "pve1", 201); !errors.Is(err, proxmox.Unavailable) {
		t.Errorf("no status: %v", err)
	}
}
