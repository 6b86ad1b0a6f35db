package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
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

// Options say how a file is fetched.
type Options struct {
	HTTP *http.Client
	// Pause is between two attempts; 0 is 5 s.
	Pause time.Duration
	// Checked says that the caller compares the whole file's checksum: what the file holds already is taken up, whenever
	// it was fetched. Else it begins anew, and anew again where the server has no way to tell that its file is the same.
	Checked bool
	// Bytes, if set, hears how many bytes are there, and of how many; total is 0 while that isn't known.
	Bytes func(done, total int64)
	// Says, if set, hears why the download is taken up again.
	Says func(text string)
}

// Rest downloads what f lacks of the file at url. A download that breaks off is taken up five times; a server that
// refuses is asked once.
func Rest(ctx context.Context, o Options, f *os.File, url string) error {
	if o.Pause == 0 {
		o.Pause = resumeAfter
	}
	if !o.Checked {
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	d := &download{Options: o, file: f, url: url}
	var err error
	for try := range resumes {
		if try > 0 {
			if o.Says != nil {
				o.Says(fmt.Sprintf("taken up again: %v", err))
			}
			if !pause(ctx, o.Pause) {
				return context.Cause(ctx)
			}
		}
		var refused bool
		if refused, err = d.attempt(ctx); err == nil || refused || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// download is one file on its way.
type download struct {
	Options
	file *os.File
	url  string
	// version is the server's name for the file as it was when the download began (a strong ETag), "" for none.
	version string
}

// attempt downloads what the file lacks. refused says that asking again is of no use.
func (d *download) attempt(ctx context.Context) (refused bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(fmt.Errorf("the server has sent nothing for %s", silence)) })
	defer quiet.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return true, err
	}
	at, err := d.begin(req)
	if err != nil {
		return true, err
	}
	resp, err := d.HTTP.Do(req)
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
	if tag := resp.Header.Get("ETag"); !strings.HasPrefix(tag, "W/") {
		d.version = tag
	}
	if _, err := d.file.Seek(at, io.SeekStart); err != nil {
		return true, err
	}
	if err := d.file.Truncate(at); err != nil {
		return true, err
	}
	total := int64(0)
	if resp.ContentLength > 0 {
		total = at + resp.ContentLength
	}
	if err := d.copy(resp.Body, at, total, func() { quiet.Reset(silence) }); err != nil {
		return false, cause(ctx, err)
	}
	return false, nil
}

// begin asks for what comes after what is there, if that is of use.
func (d *download) begin(req *http.Request) (at int64, err error) {
	if !d.Checked && d.version == "" {
		return 0, nil
	}
	if at, err = d.file.Seek(0, io.SeekEnd); err != nil || at == 0 {
		return 0, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	if !d.Checked {
		req.Header.Set("If-Range", d.version)
	}
	return at, nil
}

// copy copies to the file, and tells how far it is.
func (d *download) copy(from io.Reader, at, total int64, alive func()) error {
	told := at
	tell := func() {
		if d.Bytes != nil {
			d.Bytes(at, total)
		}
		told = at
	}
	buf := make([]byte, 256<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			alive()
			if _, err := d.file.Write(buf[:n]); err != nil {
				return err
			}
			if at += int64(n); at-told >= tellEvery {
				tell()
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			tell()
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

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
