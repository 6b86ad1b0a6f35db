package pve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// downloadURL is POST download-url: the node fetches a file by itself, in a task (pve-storage API2/Storage/Status.pm,
// download_url).
func (s *Server) downloadURL(q *call) (any, error) {
	p := q.params
	st := s.storageByID(p.str("storage"))
	content := p.str("content")
	switch {
	case st == nil:
		return nil, failf("storage '%s' does not exist", p.str("storage"))
	case !st.files():
		return nil, failf("can't upload to storage type '%s', not a file based storage!", st.kind)
	case !st.holds(content):
		return nil, failf("storage '%s' is not configured for content-type '%s'", st.id, content)
	}
	name, err := contentFileName(content, p.str("filename"))
	if err != nil {
		return nil, err
	}
	d := &download{
		url: p.str("url"), node: q.node.name, storage: st, content: content, name: name, compression: p.str("compression"),
		sum: p.str("checksum"), algorithm: p.str("checksum-algorithm"), anyCertificate: p.str("verify-certificates") == "0",
	}
	return s.fork(q.node.name, "download", name, q.token, func(ctx context.Context, w *worker) error {
		return s.runDownload(ctx, w, d)
	}), nil
}

// download is a file on its way from the web to a storage.
type download struct {
	url            string
	node           string
	storage        *storage
	content, name  string
	compression    string
	sum, algorithm string // the checksum that was promised
	anyCertificate bool
}

// runDownload is the download worker (pve-common Tools.pm, download_file_from_url).
func (s *Server) runDownload(ctx context.Context, w *worker, d *download) error {
	if d.compression != "" && d.content != "iso" {
		return failf("decompression not supported for %s", d.content)
	}
	if d.compression != "" && decompressors[d.compression] == nil {
		return failf("no decompression method found")
	}
	target := d.storage.path(d.content + "/" + d.name)
	w.say(fmt.Sprintf("downloading %s to %s", d.url, target))
	s.lock()
	vol := s.volumes[s.key(d.node, d.storage.id+":"+d.content+"/"+d.name)]
	s.mu.Unlock()
	if vol != nil {
		return d.existing(w, vol, target)
	}
	get := &wget{w: w, url: d.url, output: fmt.Sprintf("%s.tmp_dwnl.%d", target, w.task.pid), anyCertificate: d.anyCertificate}
	f, err := get.run(ctx, s)
	if err != nil {
		return err
	}
	if f, err = d.finish(s, w, f, get.output); err != nil {
		return err
	}
	s.placeFile(d.node, d.storage, d.content, d.name, f)
	w.say(fmt.Sprintf("download of '%s' to '%s' finished", d.url, target))
	return nil
}

// existing is what becomes of a download when there is a file of that name: nothing is ever replaced.
func (d *download) existing(w *worker, vol *volume, target string) error {
	if d.sum == "" {
		return failf("refusing to override existing file '%s'", target)
	}
	got := "" // of an image that is only a size
	if vol.file != nil {
		var err error
		if got, err = vol.file.sum(d.algorithm); err != nil {
			return err
		}
	}
	if strings.EqualFold(got, d.sum) {
		w.say("calculating checksum of existing file...OK, got correct file already, no need to download")
		return nil
	}
	w.say("calculating checksum of existing file...")
	return failf("checksum mismatch: got '%s' != expect '%s', aborting", got, d.sum)
}

// finish checks what arrived, and unpacks it. Of a file that isn't right nothing stays.
func (d *download) finish(s *Server, w *worker, f *file, tmp string) (_ *file, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, f.remove())
		}
	}()
	if d.sum != "" {
		got, err := f.sum(d.algorithm)
		if err != nil {
			return nil, err
		}
		if !strings.EqualFold(got, d.sum) {
			w.say("calculating checksum...")
			return nil, failf("checksum mismatch: got '%s' != expect '%s'", got, d.sum)
		}
		w.say("calculating checksum...OK, checksum verified")
	}
	if d.compression != "" {
		out := strings.Replace(tmp, ".tmp_dwnl.", ".tmp_dcom.", 1)
		w.say(fmt.Sprintf("decompressing %s to %s", tmp, out))
		unpacked, err := s.decompress(f, d.compression)
		if err != nil {
			return nil, err
		}
		if err := f.remove(); err != nil {
			return nil, err
		}
		f, tmp = unpacked, out
	}
	if err := checkContent(f, d.content, d.name, tmp); err != nil {
		return nil, failf("failed to verify file: %s", err)
	}
	return f, nil
}

// web carries what download-url fetches.
func (s *Server) web(anyCertificate bool) http.RoundTripper {
	if s.opts.Web != nil {
		return s.opts.Web
	}
	return loopbackOnly(anyCertificate)
}
