package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/canary"
	"mayfly/internal/cloudinit"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

const (
	// downloadPatience bounds bringing the vendor's image to a node: half a GiB over a slow line.
	downloadPatience = 2 * time.Hour
	// downloadPoll is how often a download's log is read for its progress.
	downloadPoll = 3 * time.Second
	// logLines is how many new lines of the log are read at once.
	logLines = 500
)

// checkStorages refuses storages that a build can't use, before anything is made.
func (b *Builder) checkStorages(ctx context.Context, node string) (disks proxmox.Storage, err error) {
	list, err := b.pve.Storages(ctx, node)
	if err != nil {
		return proxmox.Storage{}, err
	}
	find := func(name string, contents ...string) (proxmox.Storage, error) {
		at := slices.IndexFunc(list, func(s proxmox.Storage) bool { return s.Name == name })
		if at < 0 {
			return proxmox.Storage{}, fmt.Errorf("storage %q of node %s: there is none that the token may use; check image.storage and image.files_storage, and Datastore.AllocateSpace there", name, node)
		}
		s := list[at]
		if !s.Enabled || !s.Active {
			return proxmox.Storage{}, fmt.Errorf("storage %s of node %s is not active; look at it there: pvesm status", name, node)
		}
		for _, content := range contents {
			if !slices.Contains(s.Content, content) {
				return proxmox.Storage{}, fmt.Errorf("storage %s doesn't take content %q, only %s; run on a node: pvesm set %s --content %s",
					name, content, strings.Join(s.Content, ", "), name, strings.Join(append(slices.Clone(s.Content), content), ","))
			}
		}
		return s, nil
	}
	files, err := find(b.spec.FilesStorage, "import", "iso")
	if err != nil {
		return proxmox.Storage{}, err
	}
	if files.Avail > 0 && files.Avail < runner.GiB {
		return proxmox.Storage{}, fmt.Errorf("storage %s of node %s has %s left, and a vendor's image needs about 1 GiB; free space there", files.Name, node, files.Avail)
	}
	return find(b.spec.Storage, "images")
}

// fetch brings the vendor's image to the node's storage of files.
func (p *part) fetch(ctx context.Context) error {
	name := p.b.downloadName(p.request.Image, p.version, p.node)
	if p.b.spec.KeepDownload {
		name = p.b.keptName(p.request.Image, p.source.Checksum)
		kept, err := p.b.pve.Volumes(ctx, p.node, p.b.spec.FilesStorage, "import")
		if err != nil {
			return err
		}
		for _, v := range kept {
			if v.Name() == name {
				p.download = v.ID
				p.tell.stage(StageDownload, "kept from an earlier build")
				return nil
			}
		}
	}
	p.download = p.b.spec.FilesStorage + ":import/" + name
	if p.b.spec.Fetch != FetchUpload {
		err := p.fetchByNode(ctx, name)
		refused := errors.Is(err, proxmox.Permission) || errors.Is(err, proxmox.BadParameter)
		if err == nil || p.b.spec.Fetch == FetchNode || !refused {
			return err
		}
		p.tell.says("Proxmox won't download it: " + err.Error())
	}
	return p.fetchHere(ctx, name)
}

// fetchByNode lets Proxmox download the image and check its checksum.
func (p *part) fetchByNode(ctx context.Context, name string) error {
	p.tell.stage(StageDownload, p.source.URL)
	err := p.b.orders.Do(ctx, canary.Order{
		Node: p.node, Type: "download", ID: name, Patience: downloadPatience, Watch: p.watchDownload,
		Send: func(ctx context.Context) (proxmox.UPID, error) {
			return p.b.pve.DownloadURL(ctx, p.node, proxmox.Download{
				Storage: p.b.spec.FilesStorage, Content: "import", Name: name, URL: p.source.URL,
				Algorithm: p.source.Checksum.Algorithm, Checksum: p.source.Checksum.Hex,
			})
		},
	})
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "checksum"):
		return fmt.Errorf("download %s: %w; it isn't what %s says: don't use it, and see whether the vendor has just renewed it", p.source.URL, err, p.source.Checksum)
	}
	return fmt.Errorf("download %s: %w; where the node has no way there, use --fetch upload", p.source.URL, err)
}

// wgetTotal is the line of a download's log that says how much there is (GNU wget, which Proxmox runs).
var wgetTotal = regexp.MustCompile(`^Length: (\d+)`)

// watchDownload tells a download's progress until ctx ends.
func (p *part) watchDownload(ctx context.Context, task proxmox.UPID) {
	var total, seen int64
	for line := 0; pause(ctx, downloadPoll); {
		lines, err := p.b.pve.TaskLog(ctx, task, line, logLines)
		if err != nil {
			continue
		}
		line += len(lines)
		for _, text := range lines {
			if m := wgetTotal.FindStringSubmatch(text); m != nil {
				total, _ = strconv.ParseInt(m[1], 10, 64)
			}
		}
		if percent, ok := proxmox.Progress(lines); ok {
			seen = total * int64(percent) / 100
		}
		if total > 0 {
			p.tell.bytes(seen, total)
		}
	}
}

// fetchHere downloads the image to this machine, once for all nodes, and uploads it.
func (p *part) fetchHere(ctx context.Context, name string) error {
	p.tell.stage(StageDownload, p.source.URL)
	file, err := p.b.localFile(ctx, p.source, p.tell)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return p.upload(ctx, "import", name, file, p.tell.bytes)
}

// upload puts a file on the storage of files. Sent anew it replaces itself, so a lost reply is answered by that.
func (p *part) upload(ctx context.Context, content, name string, file *os.File, progress func(done, total int64)) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("upload %s: %w", name, err)
	}
	p.tell.stage(StageUpload, name)
	return p.b.send(ctx, p.node, proxmox.Upload{
		Storage: p.b.spec.FilesStorage, Content: content, Name: name, Body: file, Size: info.Size(),
		Progress: func(sent int64) { progress(sent, info.Size()) },
	})
}

// send gives one file to the storage of files.
func (b *Builder) send(ctx context.Context, node string, u proxmox.Upload) error {
	err := b.orders.Do(ctx, canary.Order{
		Node: node, Type: "imgcopy", Patience: downloadPatience,
		// Unlike other requests this one may take minutes, and is cut off: half a body begins nothing.
		Send: func(context.Context) (proxmox.UPID, error) { return b.pve.Upload(ctx, node, u) },
	})
	if err != nil {
		return fmt.Errorf("upload %s to %s: %w", u.Name, node, err)
	}
	return nil
}

// dropDownload deletes the vendor's image: the disk is a copy of it.
func (p *part) dropDownload(ctx context.Context) error {
	if p.b.spec.KeepDownload {
		return p.b.dropOlder(ctx, p.node, p.request.Image, p.download)
	}
	_, err := p.b.drop(ctx, p.node, p.download)
	return err
}

// drop deletes a file of ours. Where the token may not, left is true: a seed is then replaced by an empty medium, as the
// hand-off by ISO does, and the vendor's image, which is no secret, stays.
func (b *Builder) drop(ctx context.Context, node, volume string) (left bool, err error) {
	err = b.orders.Do(ctx, canary.Order{
		Node: node, Type: "imgdel",
		Send: func(ctx context.Context) (proxmox.UPID, error) { return b.pve.DeleteVolume(ctx, node, volume) },
	})
	if errors.Is(err, proxmox.Permission) {
		b.log.Warn("file of an image build stays", "node", node, "volume", volume, "reason", err)
		if _, name, _ := strings.Cut(volume, ":iso/"); name != "" {
			empty := cloudinit.EmptyISO()
			return true, b.send(ctx, node, proxmox.Upload{
				Storage: b.spec.FilesStorage, Content: "iso", Name: name, Body: bytes.NewReader(empty), Size: int64(len(empty)),
			})
		}
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("delete %s on %s: %w", volume, node, err)
	}
	return false, nil
}

// dropOlder deletes the files that were kept for the image before this one.
func (b *Builder) dropOlder(ctx context.Context, node, image, but string) error {
	kept, err := b.pve.Volumes(ctx, node, b.spec.FilesStorage, "import")
	if err != nil {
		return err
	}
	for _, v := range kept {
		if of, ok := b.keptOf(v.Name()); ok && of == image && v.ID != but {
			if _, err := b.drop(ctx, node, v.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
