package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
)

// askTimeout bounds a question to a running dispatcher.
const askTimeout = 5 * time.Second

// maxStatus bounds a reply: a thousand runners and ten thousand jobs are some megabytes.
const maxStatus = 64 << 20

// defaultListen is the default of web.listen.
const defaultListen = "127.0.0.1:9180"

// addressFlag adds --address.
func addressFlag(cmd *cobra.Command, address *string) {
	cmd.Flags().StringVar(address, "address", "", "`HOST:PORT` of the running dispatcher (default: web.listen of the configuration, else "+defaultListen+")")
}

// dispatcherURL is where the running dispatcher is, and where that was taken from. A configuration that can't be read, perhaps
// for its secrets, doesn't matter: the dispatcher's address is most likely the default.
func (a *app) dispatcherURL(address string) (base *url.URL, from string, err error) {
	from = "--address"
	if address == "" {
		address, from = defaultListen, "the default"
		if c, _, err := config.Load(a.loadOptions()); err == nil && c.Web.Listen != "" {
			address, from = c.Web.Listen, "web.listen"
		}
	}
	text := address
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, "", usageError{fmt.Errorf("--address %q: want HOST:PORT, for example %s", address, defaultListen)}
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "" || ip != nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort("127.0.0.1", u.Port()) // it listens on every address
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}, from, nil
}

// askStatus asks the running dispatcher how its fleet is.
func (a *app) askStatus(ctx context.Context, address string) (s fleet.Status, raw []byte, err error) {
	raw, _, err = a.ask(ctx, address, "/status", &s)
	return s, raw, err
}

// ask reads a page of the running dispatcher into v. from is the dispatcher's address.
func (a *app) ask(ctx context.Context, address, path string, v any) (raw []byte, from string, err error) {
	base, named, err := a.dispatcherURL(address)
	if err != nil {
		return nil, "", err
	}
	page := base.String() + path
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return nil, "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is near
	res, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, "", fmt.Errorf("no dispatcher answers at %s (%s): %w; see that `mayfly run` is up (systemctl status mayfly), or name its web.listen with --address HOST:PORT", page, named, err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err = io.ReadAll(io.LimitReader(res.Body, maxStatus))
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("read %s: %w", page, err)
	case res.StatusCode == http.StatusNotFound:
		return nil, "", fmt.Errorf("%s: not found; what answers there is no dispatcher, or an older one: upgrade it, or give --address", page)
	case res.StatusCode != http.StatusOK:
		return nil, "", fmt.Errorf("%s: %s; look at the dispatcher's log", page, res.Status)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, "", fmt.Errorf("%s: the reply is no %s of a dispatcher (%w); give --address", page, strings.TrimPrefix(path, "/"), err)
	}
	return raw, base.String(), nil
}
