package bootstrap

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"mayfly/internal/download"
	"mayfly/internal/proxmox"
)

// Source is where a container template comes from.
type Source struct {
	// File is one of this machine; then nothing is fetched.
	File string
	URL  string
	// SHA512 is the file's, in hexadecimal; "" where nobody vouches for it.
	SHA512 string
}

// FindTemplate says where the template comes from: a file of this machine, or a URL, or, with neither, what the node's
// index of appliances names, with its checksum.
func FindTemplate(ctx context.Context, api *proxmox.Client, node, file, url string) (Source, error) {
	switch {
	case file != "":
		return Source{File: file}, nil
	case url != "":
		return Source{URL: url}, nil
	}
	index, err := api.Appliances(ctx, node)
	if err != nil {
		return Source{}, fmt.Errorf("find container template: %w", err)
	}
	newest, err := NewestTemplate(index)
	if err != nil {
		return Source{}, fmt.Errorf("find container template: %w", err)
	}
	return Source{URL: newest.Location, SHA512: newest.SHA512}, nil
}

// String names the source for people.
func (s Source) String() string {
	if s.File != "" {
		return s.File
	}
	return s.URL
}

// identity tells one template from another before anything is fetched.
func (s Source) identity() (string, error) {
	switch {
	case s.SHA512 != "":
		return "sha512:" + s.SHA512, nil
	case s.URL != "":
		return s.URL, nil
	}
	f, err := os.Open(s.File)
	if err != nil {
		return "", badFile(err)
	}
	defer func() { _ = f.Close() }()
	sum, err := sumOf(f)
	if err != nil {
		return "", badFile(err)
	}
	return "sha512:" + sum, nil
}

func badFile(err error) error {
	return fmt.Errorf("read container template: %w; set CT_TEMPLATE to a Debian 12 template of this machine, tar.zst or tar.gz", err)
}

// sumOf reads a file to its end and goes back to its beginning.
func sumOf(f *os.File) (string, error) {
	h := sha512.New()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	_, err := f.Seek(0, io.SeekStart)
	return hex.EncodeToString(h.Sum(nil)), err
}

// fetching is how templates come to this machine.
type fetching struct {
	http *http.Client
	// dir keeps what has a checksum for the next time.
	dir   string
	bytes func(done, total int64)
	says  func(text string)
}

// open gives the template's file, fetched if need be; done closes it, and removes what was fetched for this one time.
func (f fetching) open(ctx context.Context, s Source) (file *os.File, done func() error, err error) {
	if s.File != "" {
		file, err = os.Open(s.File)
		if err != nil {
			return nil, nil, badFile(err)
		}
		return file, file.Close, nil
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("download container template: %w", err)
	}
	if s.SHA512 == "" {
		file, done, err = scratch(f.dir, "template-*")
	} else {
		file, err = os.OpenFile(filepath.Join(f.dir, "sha512-"+s.SHA512), os.O_RDWR|os.O_CREATE, 0o600)
		done = func() error { return file.Close() }
	}
	if err != nil {
		return nil, nil, fmt.Errorf("download container template: %w", err)
	}
	if err := f.fetch(ctx, file, s); err != nil {
		err = fmt.Errorf("download container template %s: %w; bring the file here another way and set CT_TEMPLATE to it, or CT_TEMPLATE_URL to a mirror", s.URL, err)
		return nil, nil, errors.Join(err, done())
	}
	return file, done, nil
}

// scratch makes a file that is gone when done is called, and where the system can do that when the process ends, too.
func scratch(dir, pattern string) (file *os.File, done func() error, err error) {
	file, err = os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, nil, err
	}
	if os.Remove(file.Name()) == nil { // an open file lives on without a name, but not on Windows
		return file, file.Close, nil
	}
	return file, func() error { return errors.Join(file.Close(), os.Remove(file.Name())) }, nil
}

// fetch fills the file, unless it holds the template already.
func (f fetching) fetch(ctx context.Context, file *os.File, s Source) error {
	if s.SHA512 != "" {
		if got, err := sumOf(file); err == nil && got == s.SHA512 {
			f.says("fetched before")
			return nil
		}
	}
	o := download.Options{HTTP: f.http, Checked: s.SHA512 != "", Bytes: f.bytes, Says: f.says}
	if err := download.Rest(ctx, o, file, s.URL); err != nil {
		return err
	}
	got, err := sumOf(file)
	if err == nil && s.SHA512 != "" && got != s.SHA512 {
		_ = file.Truncate(0) // it is of no use, nor is its beginning
		err = fmt.Errorf("its SHA-512 is %.16s…, and Proxmox's index says %.16s…: don't use it", got, s.SHA512)
	}
	return err
}
