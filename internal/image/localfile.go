package image

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mayfly/internal/download"
)

// localFile gives the source's file, downloaded to the cache. What a broken download has left is taken up again; the
// checksum decides over the whole.
func (b *Builder) localFile(ctx context.Context, s Source, t *teller) (*os.File, error) {
	dir := b.cache
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "mayfly-images")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("download %s: %w", s.URL, err)
	}
	if err := b.fetching.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("download %s: %w", s.URL, context.Cause(ctx))
	}
	defer b.fetching.Release(1)
	path := filepath.Join(dir, s.Checksum.Algorithm+"-"+s.Checksum.Hex+downloadEnd)
	if f, err := os.Open(path); err == nil {
		if b.verify(f, s.Checksum) == nil {
			t.says("downloaded before")
			return f, nil
		}
		_ = f.Close()
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("download %s: %w", s.URL, err)
	}
	if err := b.downloadTo(ctx, f, s, t); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("download %s: %w", s.URL, err)
	}
	return f, nil
}

func (b *Builder) downloadTo(ctx context.Context, f *os.File, s Source, t *teller) error {
	o := download.Options{HTTP: b.http, Pause: b.resumeAfter, Checked: true, Bytes: t.bytes, Says: t.says}
	if err := download.Rest(ctx, o, f, s.URL); err != nil {
		return err
	}
	if err := b.verify(f, s.Checksum); err != nil {
		_ = f.Truncate(0) // it is of no use, nor is its beginning
		return err
	}
	return nil
}

// verify compares the file's checksum.
func (b *Builder) verify(f *os.File, want Checksum) error {
	h := want.hash()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.Hex {
		return fmt.Errorf("its checksum is %s:%s, not %s: don't use it, and see whether the vendor has just renewed it", want.Algorithm, got, want)
	}
	return nil
}
