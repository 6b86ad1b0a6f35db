package proxmox_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

// mappingClient speaks to a stand-in as its administrator.
func mappingClient(t *testing.T, change func(*proxmox.Options)) (*proxmox.Client, *pve.Server) {
	t.Helper()
	s := pve.New(pve.Options{})
	t.Cleanup(s.Close)
	info := s.Info()
	o := proxmox.Options{
		Endpoints: []string{"https://pve1:8006"}, TokenID: info.AdminTokenID, TokenSecret: runner.NewSecret(info.AdminTokenSecret),
		Transport: s.RoundTripper(),
	}
	if change != nil {
		change(&o)
	}
	c, err := proxmox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, s
}

func TestOneOfTwoWritersOfADirMappingWins(t *testing.T) {
	c, _ := mappingClient(t, nil)
	ctx := t.Context()
	made := proxmox.DirMapping{Description: "one", Map: []string{"node=unused,path=/x", "node=pve1,path=/tmp"}}
	if err := c.CreateDirMapping(ctx, "lease", made); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateDirMapping(ctx, "lease", made); !errors.Is(err, proxmox.Exists) {
		t.Errorf("made twice: %v", err)
	}
	read, err := c.DirMapping(ctx, "lease")
	if err != nil || read.Description != "one" || strings.Join(read.Map, " ") != strings.Join(made.Map, " ") || read.Digest == "" {
		t.Fatalf("%+v, %v", read, err)
	}
	first, second := read, read
	first.Description, second.Description = "first", "second"
	if err := c.SetDirMapping(ctx, "lease", first); err != nil {
		t.Fatal(err)
	}
	err = c.SetDirMapping(ctx, "lease", second)
	if !errors.Is(err, proxmox.ErrChanged) || !errors.Is(err, proxmox.Busy) {
		t.Errorf("the second writer with one digest: %v", err)
	}
	if read, err = c.DirMapping(ctx, "lease"); err != nil || read.Description != "first" {
		t.Errorf("%+v, %v", read, err)
	}
	if err := c.CreateDirMapping(ctx, "other", made); err != nil {
		t.Fatal(err)
	}
	if err := c.SetDirMapping(ctx, "lease", read); !errors.Is(err, proxmox.ErrChanged) {
		t.Errorf("another mapping came in between: %v", err)
	}
}

func TestMissingDirMappingIsNotFound(t *testing.T) {
	c, _ := mappingClient(t, nil)
	if m, err := c.DirMapping(t.Context(), "missing"); !errors.Is(err, proxmox.NotFound) {
		t.Errorf("read: %+v, %v", m, err)
	}
	err := c.SetDirMapping(t.Context(), "missing", proxmox.DirMapping{Map: []string{"node=a,path=/x"}, Digest: "da39a3ee5e6b4b0d3255bfef95601890afd80709"})
	if !errors.Is(err, proxmox.NotFound) || errors.Is(err, proxmox.ErrChanged) {
		t.Errorf("write: %v", err)
	}
}

func TestLockOfTheClusterIsNoOtherDigest(t *testing.T) {
	w := newWire(t, false, always(reply("500 update directory mapping failed: cfs-lock 'file-mapping_directory_cfg' error: got lock request timeout", `{"data":null}`)))
	c := newClient(t, nil, w.URL)
	err := c.SetDirMapping(t.Context(), "lease", proxmox.DirMapping{})
	if !errors.Is(err, proxmox.Busy) || errors.Is(err, proxmox.ErrChanged) {
		t.Errorf("%v", err)
	}
}

// kept is the error of a transport that sends nothing.
type kept struct{}

func (kept) Error() string { return "kept back" }
func (kept) Unsent() bool  { return true }

func TestRequestThatIsKeptBackIsNotSentAgainAndBlamesNoEndpoint(t *testing.T) {
	asked := 0
	c, _ := mappingClient(t, func(o *proxmox.Options) {
		o.Endpoints = append(o.Endpoints, "https://pve2:8006")
		o.Wrap = func(to http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodGet {
					return to.RoundTrip(req)
				}
				asked++
				return nil, kept{}
			})
		}
	})
	_, err := c.Start(context.Background(), "pve1", 201)
	if !errors.Is(err, kept{}) || !errors.Is(err, proxmox.Unavailable) || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	if _, err := c.Version(t.Context()); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// roundTrip is a transport of one function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
