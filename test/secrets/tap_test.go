package secrets

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// exchange is a request and its reply, as they went over a tap.
type exchange struct {
	method, uri, auth string
	body              string
	status            string // with the reason phrase
	reply             string
	spoiled           bool // the client got another reply
}

// tap passes requests on to a stand-in and keeps them. It speaks HTTP/1.1 itself: net/http's proxy loses the reason phrase
// of a reply, which carries Proxmox's message.
type tap struct {
	t        *testing.T
	upstream string      // HOST:PORT
	tls      *tls.Config // to the stand-in; nil for plain HTTP
	listener net.Listener
	// spoil may change a reply, where the test says so.
	spoil func(x *exchange, reply *http.Response)

	serving sync.WaitGroup
	mu      sync.Mutex
	open    map[net.Conn]bool
	closed  bool
	heard   []exchange
}

// newTap opens a tap before the stand-in. Where secure, both sides speak TLS; the certificate that clients see is returned.
func newTap(t *testing.T, upstream string, secure bool) (*tap, *tls.Certificate) {
	t.Helper()
	p := &tap{t: t, upstream: upstream, open: map[net.Conn]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.listener = l
	var cert *tls.Certificate
	if secure {
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.StartTLS() // makes a certificate
		cert = &srv.TLS.Certificates[0]
		srv.Close()
		p.listener = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*cert}})
		// The stand-in is this test's own, on this machine.
		p.tls = &tls.Config{InsecureSkipVerify: true}
	}
	p.serving.Go(p.accept)
	t.Cleanup(p.close)
	return p, cert
}

func (p *tap) address() string { return p.listener.Addr().String() }

func (p *tap) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.serving.Wait()
}

// keep has close end the connection; false means that it is too late.
func (p *tap) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *tap) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	_ = c.Close()
}

func (p *tap) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.keep(c) {
			p.serving.Go(func() { p.serve(c) })
		}
	}
}

// serve passes on one connection's requests. Whatever goes wrong on one side ends both, as it would without a tap.
func (p *tap) serve(client net.Conn) {
	defer p.drop(client)
	up, err := net.Dial("tcp", p.upstream)
	if err != nil {
		return
	}
	if p.tls != nil {
		up = tls.Client(up, p.tls)
	}
	if !p.keep(up) {
		return
	}
	defer p.drop(up)
	fromClient, fromServer := bufio.NewReader(client), bufio.NewReader(up)
	for {
		req, err := http.ReadRequest(fromClient)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		x := exchange{method: req.Method, uri: req.RequestURI, auth: req.Header.Get("Authorization"), body: string(body)}
		req.Body, req.ContentLength, req.TransferEncoding = http.NoBody, int64(len(body)), nil
		if len(body) > 0 {
			req.Body = io.NopCloser(bytes.NewReader(body))
		}
		req.Host = p.upstream // guests must not learn the tap's address
		alive := p.pass(&x, req, up, fromServer, client)
		p.mu.Lock()
		p.heard = append(p.heard, x)
		p.mu.Unlock()
		if !alive {
			return
		}
	}
}

func (p *tap) pass(x *exchange, req *http.Request, up net.Conn, fromServer *bufio.Reader, client net.Conn) bool {
	if req.Write(up) != nil {
		return false
	}
	resp, err := http.ReadResponse(fromServer, req)
	if err != nil {
		return false
	}
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		return false
	}
	x.status, x.reply = resp.Status, string(reply)
	resp.Body, resp.ContentLength, resp.TransferEncoding = io.NopCloser(bytes.NewReader(reply)), int64(len(reply)), nil
	if p.spoil != nil {
		p.spoil(x, resp)
	}
	return resp.Write(client) == nil && !resp.Close && !req.Close
}

// replyWith puts another reply into the place of the server's.
func (x *exchange) replyWith(resp *http.Response, status, body string) {
	x.spoiled = true
	resp.Status, resp.StatusCode = status, int(status[0]-'0')*100+int(status[1]-'0')*10+int(status[2]-'0')
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
}

// exchanges are those so far.
func (p *tap) exchanges() []exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]exchange{}, p.heard...)
}
