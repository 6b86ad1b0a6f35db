package pve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// wget is GNU wget as a download's worker runs it: wget --progress=dot:giga -O FILE URL. What it prints is in the task's
// log.
type wget struct {
	w              *worker
	url, output    string
	anyCertificate bool
}

// Exit codes of wget (its manual, "Exit Status"), as far as they are told apart here.
const (
	wgetNetwork  = 4
	wgetTLS      = 5
	wgetAuth     = 6
	wgetResponse = 8
)

// maxRedirects is wget's default.
const maxRedirects = 20

var errRedirects = errors.New("too many redirections")

// run fetches the file.
func (g *wget) run(ctx context.Context, s *Server) (*file, error) {
	address, err := url.Parse(g.url)
	if err != nil || address.Host == "" {
		g.w.say(g.url + ": Invalid host name.")
		return nil, g.failed(1)
	}
	g.w.say(fmt.Sprintf("--%s--  %s", stamp(), g.url))
	client := &http.Client{Transport: s.web(g.anyCertificate), CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errRedirects
		}
		g.w.say(fmt.Sprintf("Location: %s [following]", r.URL))
		return nil
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url, http.NoBody)
	if err != nil {
		return nil, g.failed(1)
	}
	req.Header.Set("User-Agent", "Wget/1.25.0")
	req.Header.Set("Accept-Encoding", "identity")
	host := address.Host
	if address.Port() == "" {
		host += map[string]string{"http": ":80", "https": ":443"}[address.Scheme]
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, g.unreached(ctx, host, err)
	}
	defer func() { _ = resp.Body.Close() }()
	g.w.say(fmt.Sprintf("Connecting to %s... connected.", host))
	g.w.say("HTTP request sent, awaiting response... " + resp.Status)
	if resp.StatusCode != http.StatusOK {
		_, reason, _ := strings.Cut(resp.Status, " ")
		g.w.say(fmt.Sprintf("%s ERROR %d: %s.", stamp(), resp.StatusCode, reason))
		if resp.StatusCode == http.StatusUnauthorized {
			return nil, g.failed(wgetAuth)
		}
		return nil, g.failed(wgetResponse)
	}
	return g.save(ctx, s, resp)
}

// save keeps the reply's body, row by row of the progress.
func (g *wget) save(ctx context.Context, s *Server, resp *http.Response) (*file, error) {
	kind, length := resp.Header.Get("Content-Type"), "unspecified"
	if resp.ContentLength >= 0 {
		length = fmt.Sprintf("%d (%s)", resp.ContentLength, humanSize(resp.ContentLength))
	}
	if kind != "" {
		kind = " [" + kind + "]"
	}
	g.w.say("Length: " + length + kind)
	g.w.say(fmt.Sprintf("Saving to: '%s'", g.output))
	g.w.say("")
	rows := &dotRows{say: g.w.say, total: resp.ContentLength, began: time.Now()}
	f, err := s.newFile(io.TeeReader(resp.Body, rows))
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		g.w.say(fmt.Sprintf("%s (%s) - Read error at byte %d (%s).", stamp(), rows.speed(), rows.got, cause(err)))
		return nil, g.failed(wgetNetwork)
	}
	rows.end()
	g.w.say("")
	size := strconv.FormatInt(rows.got, 10)
	if resp.ContentLength >= 0 {
		size += fmt.Sprintf("/%d", resp.ContentLength)
	}
	g.w.say(fmt.Sprintf("%s (%s) - '%s' saved [%s]", stamp(), rows.speed(), g.output, size))
	g.w.say("")
	return f, nil
}

// unreached says why there was no reply.
func (g *wget) unreached(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dns):
		name, _, _ := net.SplitHostPort(host)
		g.w.say(fmt.Sprintf("Resolving %s (%s)... failed: Name or service not known.", name, name))
		g.w.say(fmt.Sprintf("wget: unable to resolve host address '%s'", name))
	case errors.As(err, &unknown), errors.As(err, &certificate):
		name, _, _ := net.SplitHostPort(host)
		g.w.say(fmt.Sprintf("Connecting to %s... connected.", host))
		g.w.say(fmt.Sprintf("ERROR: cannot verify %s's certificate: %s", name, err))
		g.w.say(fmt.Sprintf("To connect to %s insecurely, use `--no-check-certificate'.", name))
		return g.failed(wgetTLS)
	case errors.Is(err, errRedirects):
		g.w.say(fmt.Sprintf("%d redirections exceeded.", maxRedirects))
		return g.failed(wgetResponse)
	default:
		reason := "Connection refused"
		var op *net.OpError
		if errors.As(err, &op) && op.Timeout() {
			reason = "Connection timed out"
		}
		g.w.say(fmt.Sprintf("Connecting to %s... failed: %s.", host, reason))
	}
	return g.failed(wgetNetwork)
}

// failed is what the worker says of wget's end (pve-common Tools.pm, run_command).
func (g *wget) failed(code int) error {
	command := "wget --progress=dot:giga -O " + g.output + " " + g.url
	if g.anyCertificate {
		command += " --no-check-certificate"
	}
	return failf("download failed: command '%s' failed: exit code %d", command, code)
}

func stamp() string { return time.Now().UTC().Format(time.DateTime) }

// humanSize is wget's way of writing sizes: "528M", "1.2G".
func humanSize(n int64) string {
	value, unit := float64(n), ""
	for _, u := range []string{"K", "M", "G", "T"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, u
	}
	if value < 10 && unit != "" {
		return fmt.Sprintf("%.1f%s", value, unit)
	}
	return fmt.Sprintf("%.0f%s", value, unit)
}

// The style "giga" of wget's dots: a dot for each MiB, 32 to a row, in groups of 8.
const (
	dotBytes  = int64(runner.MiB)
	dotsInRow = 32
	dotGroup  = 8
)

// dotRows writes wget's rows of dots.
type dotRows struct {
	say   func(string)
	total int64 // of the whole file; negative when nobody said
	began time.Time
	got   int64
	row   int64 // rows written
}

// Write implements [io.Writer]; it never fails.
func (d *dotRows) Write(p []byte) (int, error) {
	d.got += int64(len(p))
	for d.got >= (d.row+1)*dotsInRow*dotBytes {
		d.write(dotsInRow, (d.row+1)*dotsInRow*dotBytes, "")
	}
	return len(p), nil
}

// end writes the last row.
func (d *dotRows) end() {
	left := d.got - d.row*dotsInRow*dotBytes
	d.write(int((left+dotBytes-1)/dotBytes), d.got, fmt.Sprintf("=%.1fs", time.Since(d.began).Seconds()))
}

func (d *dotRows) write(dots int, upTo int64, end string) {
	var line strings.Builder
	fmt.Fprintf(&line, "%6dK", d.row*dotsInRow*dotBytes/1024)
	for i := range dotsInRow {
		if i%dotGroup == 0 {
			line.WriteByte(' ')
		}
		if i < dots {
			line.WriteByte('.')
		} else {
			line.WriteByte(' ')
		}
	}
	switch {
	case d.total > 0:
		fmt.Fprintf(&line, "%3d%%", 100*upTo/d.total)
	case d.total == 0:
		line.WriteString("100%")
	}
	line.WriteString(" " + d.rate())
	d.row++
	d.say(line.String() + end)
}

// rate is bytes per second in wget's short form.
func (d *dotRows) rate() string {
	return humanSize(int64(float64(d.got) / max(time.Since(d.began).Seconds(), 1e-6)))
}

// speed is the same in its long form.
func (d *dotRows) speed() string {
	rate := d.rate()
	unit := strings.TrimLeft(rate, "0123456789.")
	return strings.TrimSuffix(rate, unit) + " " + unit + "B/s"
}

// loopbackOnly is this machine's network without the world beyond it: names of other hosts don't resolve, and nobody
// answers under their addresses.
func loopbackOnly(anyCertificate bool) http.RoundTripper {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: anyCertificate, MinVersion: tls.VersionTLS12}, //nolint:gosec // verify-certificates=0
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			if ip := net.ParseIP(host); host != "localhost" && ip == nil {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			} else if ip != nil && !ip.IsLoopback() {
				return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
}
