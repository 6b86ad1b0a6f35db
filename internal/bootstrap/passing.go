package bootstrap

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// block is the unit of tar archives, bytes.
const block = 512

// passing hands on what is read through it. While it holds, what is read waits in memory: headers, of which the archive
// reader takes at most a few MiB for one entry.
type passing struct {
	src     io.Reader
	dst     io.Writer
	read    int64
	holding bool
	held    []byte
}

// Read implements [io.Reader].
func (p *passing) Read(b []byte) (int, error) {
	n, err := p.src.Read(b)
	p.read += int64(n)
	if p.holding {
		p.held = append(p.held, b[:n]...)
		return n, err
	}
	if _, werr := p.dst.Write(b[:n]); werr != nil {
		return n, werr
	}
	return n, err
}

// release hands on what was held, and all that follows.
func (p *passing) release() error {
	p.holding = false
	_, err := p.dst.Write(p.held)
	return err
}

// inContext ends a stream with its context.
type inContext struct {
	ctx context.Context
	r   io.Reader
}

// Read implements [io.Reader].
func (c inContext) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// plain is a decompressed stream over its source.
type plain struct {
	r     io.Reader
	src   *bufio.Reader
	close func()
}

// rest reads the source to its end, where the archive ended before.
func (p *plain) rest() error {
	_, err := io.Copy(io.Discard, p.src)
	return err
}

// mostWindow bounds the memory that a template's compression may ask for: zstd --ultra takes no more.
const mostWindow = 128 << 20

// decompress tells the compression by the stream's first bytes.
func decompress(src io.Reader) (*plain, error) {
	in := bufio.NewReaderSize(src, 64<<10)
	start, err := in.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	p := &plain{r: in, src: in, close: func() {}}
	switch {
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(mostWindow))
		if err != nil {
			return nil, err
		}
		p.r, p.close = z, z.Close
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		p.r = z
	case bytes.HasPrefix(start, []byte("\xfd7zXZ\x00")):
		return nil, fmt.Errorf("it is compressed with xz; pack it anew with zstd: xz -dc FILE.tar.xz | zstd > FILE.tar.zst")
	}
	return p, nil
}
