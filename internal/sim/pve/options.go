package pve

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"mayfly/internal/runner"
)

// Options say what cluster to stand in for. The zero value is one node pve1 with a template 9000, Proxmox's own timing
// and blank machines.
type Options struct {
	// Seed makes tokens, process ids, MAC addresses and UUIDs: the same seed, the same values.
	Seed uint64
	// Node is the node that answers requests to hosts that are no node of the cluster; "" is the first of Nodes.
	Node string
	// Nodes are the members of the cluster; none is just Node.
	Nodes []string
	// Timing is how long things take; the zero value is DefaultTiming.
	Timing Timing
	// Engine are the machines; nil gives blank ones, whose agent answers ping and simple commands.
	Engine Engine
	// Guest plays what runs in blank machines that were made of an image (Machine.Image), and in their clones. It is called
	// at each start, in a goroutine of its own that Close waits for; ctx ends when the machine is off. A guest that returns
	// goes on doing nothing: it hangs. nil leaves them blank.
	Guest func(ctx context.Context, g *Guest)
	// Container plays what runs in containers. It is called at each start, in a goroutine of its own that Close waits for;
	// ctx ends when the container is off. nil leaves them idle.
	Container func(ctx context.Context, c *Container)
	// Appliances are the index of container templates that nodes know; none is an empty index.
	Appliances []Appliance
	// TemplateName is the name of VM 9000 on the first node (9001 on the second…); "" is
	// "ubuntu-2204-runner-template".
	TemplateName string
	// TemplateStorage is one of Storages for the templates' disks, which the fleet's token may fill; "" is "local-lvm", of which
	// each node has its own. On a shared one there is one template, VM 9000 on the first node.
	TemplateStorage string
	// Watch hears of every change, in order; it is called with the server's state locked and must not call the server. nil
	// hears nothing.
	Watch func(Change)
	// Logger takes one line for each request at debug; nil discards.
	Logger *slog.Logger
	// Release is the version to show; "" is "9.2.11". One that begins with 8 gives the API of 8.4: its calls, parameters and
	// privileges, of which VM.Monitor is one and VM.GuestAgent.* aren't. All else is as on 9.2.
	Release string
	// SnippetsDir is the folder of this machine behind local:snippets/, which all nodes see; "" is an empty one. Snippets
	// are read from it, and deleted in it, when Proxmox would.
	SnippetsDir string
	// Dir is the folder of this machine to make the server's folder in, for files over 1 MiB that are uploaded or
	// downloaded; "" is the system's for temporary files. Close removes the server's.
	Dir string
	// Web carries what download-url fetches; nil is this machine's network, of which only loopback answers.
	Web http.RoundTripper
	// CloudInitDrive gives the templates a cloud-init drive, ide2, which their clones have, too.
	CloudInitDrive bool
	// TemplateAgentOff leaves the guest agent's option out of the templates.
	TemplateAgentOff bool
	// MayUpload lets the fleet's token upload to the storage local, and delete what is there: the iso hand-off needs it.
	MayUpload bool
	// Lease is a directory mapping that there is and that the fleet's token may write, for dispatchers that take turns; "" is
	// none.
	Lease string
	// UploadRoom is how much a node's /var/tmp takes, where uploads arrive; 0 is any amount.
	UploadRoom runner.Bytes
	// TemplateFirewall are the firewall options of the templates ("enable": "1"), which their clones have, too.
	TemplateFirewall map[string]string
	// Datacenter are settings of the cluster as a whole.
	Datacenter Datacenter
	// Storages are storages beside "local" and "local-lvm".
	Storages []Storage
	// Tokens are API tokens beside the fleet's and the administrator's.
	Tokens []Token
	// Roles are roles that Tokens may have.
	Roles []Role
}

// Token is an API token of a user who has the same roles.
type Token struct {
	// ID is "user@realm!name".
	ID     string
	Secret string
	// Roles are the roles that it is granted, by path; a token without any may only see that there are nodes.
	Roles map[string]string
}

// Role is a role beside the built-in ones and those of the fleet's token, as `pveum role add` makes it. Privileges that the
// release doesn't have are nothing.
type Role struct {
	Name       string
	Privileges []string
}

func (o Options) withDefaults() Options {
	if o.Node == "" {
		o.Node = "pve1"
		if len(o.Nodes) > 0 {
			o.Node = o.Nodes[0]
		}
	}
	if !slices.Contains(o.Nodes, o.Node) {
		o.Nodes = append([]string{o.Node}, o.Nodes...)
	}
	if o.Timing == (Timing{}) {
		o.Timing = DefaultTiming()
	}
	if o.Timing.Workers <= 0 {
		o.Timing.Workers = 3
	}
	if o.TemplateName == "" {
		o.TemplateName = "ubuntu-2204-runner-template"
	}
	if o.TemplateStorage == "" {
		o.TemplateStorage = storageDisks
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Release == "" {
		o.Release = "9.2.11"
	}
	return o
}
