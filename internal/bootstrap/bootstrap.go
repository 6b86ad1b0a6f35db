package bootstrap

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Spec is what a bootstrap is to bring about.
type Spec struct {
	// Installation is in the container's marker; a container of the same installation is upgraded.
	Installation string
	// Node is where a container is made where there is none yet.
	Node string
	// TokenID is the token's, for what errors say.
	TokenID string
	// Container is the wanted one. A VMID of 0 is one that is free; MAC, Description and KeyLine are filled in.
	Container Container
	// Reserved are VMIDs that are for runners and templates.
	Reserved []VMIDs
	// TemplateFile, TemplateURL and TemplateStorage say where the template comes from and where it goes.
	TemplateFile, TemplateURL, TemplateStorage string

	// Program is the path of mayfly for linux/amd64; Config and Files go with it, as [Contents] says.
	Program string
	Config  []byte
	Files   []File
	Secrets map[string]runner.Secret
	// Version is the program's.
	Version string

	// Patience is how long the dispatcher has to say that it is ready; 0 is 5 minutes.
	Patience time.Duration
	// Force makes a new container although nothing has changed. TakeOver sweeps what looks like another bootstrap's work.
	Force, TakeOver bool
	// HA has Proxmox's HA manager keep the container.
	HA bool
	// Rehearse says that the client only shows what it would do: the template is neither fetched nor prepared.
	Rehearse bool
}

// Options are what [Run] works with.
type Options struct {
	Proxmox *proxmox.Client
	// HTTP fetches the template.
	HTTP *http.Client
	// Dir holds the template and the prepared archive, about 300 MB; it is made where it isn't there.
	Dir string
	// Progress hears of each step, one call at a time; nil for nobody.
	Progress func(Event)
}

// Event tells how far a bootstrap is.
type Event struct {
	// Step is what is being done, such as "start container 190".
	Step string
	// Done and Total are bytes, where the step moves some; Total is 0 while it isn't known.
	Done, Total int64
	// Text says more.
	Text string
	// New marks the first event of a step.
	New bool
}

// Result is what a bootstrap has brought about.
type Result struct {
	VMID int
	Node string
	// Replaced is the container that was there before; 0 for none.
	Replaced int
	// Unchanged says that the container is made of the same already, and serves.
	Unchanged bool
	// ByHand is a command for a node's shell that the token may not replace; "" for none.
	ByHand string
}

// DefaultPatience is enough for a slow disk to boot Debian, and for a dispatcher to try GitHub a few times.
const DefaultPatience = 5 * time.Minute

// Run brings about that the installation's dispatcher serves in a container that is as the spec says. Where one is there
// already it is replaced, or left alone if nothing has changed. After an error the old one serves as before and nothing
// is left behind, or the error says what.
func Run(ctx context.Context, o Options, s Spec) (Result, error) {
	if s.Patience == 0 {
		s.Patience = DefaultPatience
	}
	r := &run{Options: o, spec: &s}
	r.step("look for a dispatcher's container")
	there, err := look(ctx, o.Proxmox, s.Installation)
	if err != nil {
		return Result{}, err
	}
	source, err := r.plan(ctx, there)
	if err != nil {
		return Result{}, err
	}
	if r.result.Unchanged {
		return r.result, r.finish(ctx, there)
	}
	archive, err := r.prepare(ctx, source)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = archive.done() }()
	if err := r.sweep(ctx, there); err != nil {
		return Result{}, err
	}
	if err := r.make(ctx, there, archive); err != nil {
		return Result{}, err
	}
	return r.result, nil
}

// run is a bootstrap under way.
type run struct {
	Options
	spec   *Spec
	now    Event
	result Result
	// template tells the template from others; digest all that the container is made of.
	template, digest string
}

func (r *run) step(text string) { r.tell(Event{Step: text, New: true}) }

func (r *run) bytes(done, total int64) { r.tell(Event{Step: r.now.Step, Done: done, Total: total}) }

func (r *run) says(text string) { r.tell(Event{Step: r.now.Step, Text: text}) }

func (r *run) tell(e Event) {
	r.now = e
	if r.Progress != nil {
		r.Progress(e)
	}
}

// plan decides what is to be done, and refuses what can't be, before anything is.
func (r *run) plan(ctx context.Context, there *survey) (Source, error) {
	s := r.spec
	if !s.TakeOver {
		if err := there.checkAlone(time.Now()); err != nil {
			return Source{}, err
		}
	}
	if there.current != nil {
		s.Node = there.current.node // the state's volume can't change nodes
	}
	r.step("look for the container template")
	source, err := FindTemplate(ctx, r.Proxmox, s.Node, s.TemplateFile, s.TemplateURL)
	if err != nil {
		return Source{}, err
	}
	if r.template, err = source.identity(); err != nil {
		return Source{}, err
	}
	r.result.Node = s.Node
	if c := there.current; c != nil {
		same, err := sameContents(c.marker.Contents, r.template, *s)
		if err != nil {
			return Source{}, err
		}
		if same && c.serves() && !s.Force {
			r.result.VMID, r.result.Unchanged = c.vmid, true
			return source, nil
		}
		if err := c.replaceable(); err != nil {
			return Source{}, err
		}
		r.result.Replaced = c.vmid
	}
	if r.digest, err = contentsDigest(newSalt(), r.template, *s); err != nil {
		return Source{}, err
	}
	if _, err := readProgram(s.Program); err != nil {
		return Source{}, err
	}
	r.step("check privileges and storages")
	if s.Container.VMID, err = there.chooseVMID(ctx, r.Proxmox, s.Container.VMID, s.Reserved); err != nil {
		return Source{}, err
	}
	r.result.VMID = s.Container.VMID
	if err := stores(ctx, r.Proxmox, s, 0); err != nil { // a privilege on the wrong storage is no cure
		return Source{}, err
	}
	return source, errors.Join(bridge(ctx, r.Proxmox, s), allowed(ctx, r.Proxmox, s), r.planHA(ctx, there))
}

// planHA finds out whether the token may do what is wanted of HA.
func (r *run) planHA(ctx context.Context, there *survey) error {
	s := r.spec
	had := there.current != nil && there.current.status.HA
	if !s.HA && !had {
		return nil
	}
	may, err := r.Proxmox.PermissionsOn(ctx, "/")
	switch {
	case err != nil:
		return fmt.Errorf("check privileges: %w", err)
	case may["Sys.Console"]:
		return nil
	case had:
		return fmt.Errorf("replace container %d: HA keeps it running, and token %s may not change that (Sys.Console on /); on a node run: ha-manager remove ct:%d",
			there.current.vmid, s.TokenID, there.current.vmid)
	}
	s.HA = false
	r.result.ByHand = fmt.Sprintf("ha-manager add ct:%d --state started", s.Container.VMID)
	return nil
}

// archive is a prepared template.
type archive struct {
	file    *os.File
	size    int64
	carrier runner.Secret
	done    func() error
}

// prepare fetches the template and adds what the container needs.
func (r *run) prepare(ctx context.Context, source Source) (*archive, error) {
	s := r.spec
	sealed, key, err := Seal(s.Secrets)
	if err != nil {
		return nil, err
	}
	carrier, err := CarrierLine(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("prepare container template: %w", err)
	}
	file, done, err := scratch(r.Dir, "prepared-*.tar.zst")
	if err != nil {
		return nil, fmt.Errorf("prepare container template: %w", err)
	}
	a := &archive{file: file, carrier: carrier, done: done}
	if !s.Rehearse {
		err = r.fill(ctx, source, a, sealed)
	}
	if err == nil {
		err = stores(ctx, r.Proxmox, s, runner.Bytes(a.size))
	}
	if err != nil {
		return nil, errors.Join(err, a.done())
	}
	return a, nil
}

func (r *run) fill(ctx context.Context, source Source, a *archive, sealed []byte) error {
	s := r.spec
	if source.File == "" {
		r.step("download " + source.String())
	}
	template, closeTemplate, err := fetching{r.HTTP, r.Dir, r.bytes, r.says}.open(ctx, source)
	if err != nil {
		return err
	}
	defer func() { _ = closeTemplate() }()
	r.step("prepare container template")
	entries, err := Contents{Program: s.Program, Config: s.Config, Files: s.Files, Sealed: sealed, VMID: s.Container.VMID}.Entries()
	if err != nil {
		return err
	}
	if err := AddTo(ctx, a.file, template, entries, time.Now()); err != nil {
		return err
	}
	info, err := a.file.Stat()
	if err != nil {
		return fmt.Errorf("prepare container template: %w", err)
	}
	a.size = info.Size()
	return nil
}

// make makes the container in place of the current one.
func (r *run) make(ctx context.Context, there *survey, a *archive) error {
	s := r.spec
	c := s.Container
	c.KeyLine = a.carrier
	c.Description = runner.DispatcherMarker{
		Installation: s.Installation, VMID: c.VMID, Created: time.Now(), Version: s.Version, Contents: r.digest,
	}.Description()
	m := Making{
		Node: s.Node, Container: c, Archive: a.file, Size: a.size, TemplateStorage: s.TemplateStorage,
		TemplateName: TemplateName(c.VMID, nonce(s.Installation)), Patience: s.Patience, HA: s.HA,
		Say: r.step, Sent: func(sent int64) { r.bytes(sent, a.size) },
	}
	for _, secret := range s.Secrets {
		m.Secrets = append(m.Secrets, secret)
	}
	if o := there.current; o != nil {
		m.Container.MAC = macOf(o.config.Values["net0"])
		m.Old = &Old{
			VMID: o.vmid, State: o.config.Values[stateKey] != "", HA: o.status.HA, Start: o.status.Running || o.config.Values["onboot"] == "1",
		}
	}
	m.Alone = func(ctx context.Context) error { return r.alone(ctx, &m) }
	return Make(ctx, r.Proxmox, m)
}

// alone looks for containers of the installation beside the new one and the one that it takes the place of.
func (r *run) alone(ctx context.Context, m *Making) error {
	there, err := look(ctx, r.Proxmox, r.spec.Installation)
	if err != nil {
		return err
	}
	for _, o := range append(there.remains, there.current) {
		if o != nil && o.vmid != m.Container.VMID && (m.Old == nil || o.vmid != m.Old.VMID) {
			return fmt.Errorf("make dispatcher's container: another bootstrap of installation %s is at work on container %d; wait for it, and run this again", r.spec.Installation, o.vmid)
		}
	}
	return nil
}

// macOf is the hardware address in a network card's option: "name=eth0,bridge=vmbr0,hwaddr=BC:24:…,ip=dhcp,type=veth".
func macOf(net0 string) string {
	for part := range strings.SplitSeq(net0, ",") {
		if mac, ok := strings.CutPrefix(part, "hwaddr="); ok {
			return mac
		}
	}
	return ""
}

// nonce is the part of a one-off template's name that is the installation's, and one that is its own.
func nonce(installation string) string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return ownedBy(installation) + hex.EncodeToString(b)
}

// ownedBy begins the nonces of an installation's templates.
func ownedBy(installation string) string {
	sum := sha256.Sum256([]byte(installation))
	return hex.EncodeToString(sum[:6]) + "-"
}
