package image

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	// resumes is how often a download that broke off is taken up again.
	resumes = 5
	// resumeAfter is between two of them.
	resumeAfter = 5 * time.Second
	// silence is how long a server may send nothing.
	silence = time.Minute
	// tellEvery is how many bytes pass between two reports.
	tellEvery = 4 << 20
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
	var err error
	for try := range resumes {
		if try > 0 {
			t.says(fmt.Sprintf("taken up again: %v", err))
			if !pause(ctx, b.resumeAfter) {
				return context.Cause(ctx)
			}
		}
		var refused bool
		if refused, err = b.rest(ctx, f, s.URL, t); err == nil {
			break
		}
		if refused || ctx.Err() != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if err := b.verify(f, s.Checksum); err != nil {
		_ = f.Truncate(0) // it is of no use, nor is its beginning
		return err
	}
	return nil
}

// rest downloads what the file lacks. refused says that asking again is of no use.
func (b *Builder) rest(ctx context.Context, f *os.File, url string, t *teller) (refused bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(fmt.Errorf("the server has sent nothing for %s", silence)) })
	defer quiet.Stop()
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return true, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return true, err
	}
	if at > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return false, cause(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusPartialContent:
	case http.StatusOK: // from the beginning
		at = 0
	case http.StatusRequestedRangeNotSatisfiable: // nothing is lacking, or it is another file
		return false, nil
	default:
		return resp.StatusCode < 500, errors.New("the server answers " + resp.Status)
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return true, err
	}
	if err := f.Truncate(at); err != nil {
		return true, err
	}
	total := int64(0)
	if resp.ContentLength > 0 {
		total = at + resp.ContentLength
	}
	if err := copyTelling(f, resp.Body, at, total, t, func() { quiet.Reset(silence) }); err != nil {
		return false, cause(ctx, err)
	}
	return false, nil
}

// copyTelling copies, and tells how far it is.
func copyTelling(to io.Writer, from io.Reader, at, total int64, t *teller, alive func()) error {
	told := at
	buf := make([]byte, 256<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			alive()
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
			if at += int64(n); at-told >= tellEvery {
				t.bytes(at, total)
				told = at
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			t.bytes(at, total)
			return nil
		case err != nil:
			return err
		}
	}
}

// cause prefers why a context ended to the words of the call that it cut off.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
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
