package gh

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// exchange takes a request through everything that happens to it: the log, a fault, the handler.
func (s *Server) exchange(in *incoming) reply {
	c := &call{incoming: in, path: in.url.Path}
	if strings.HasPrefix(c.path, "/_sim/") {
		return s.door(c)
	}
	n := s.received(c)
	f := s.faults.pick(c)
	rep := s.withFault(c, f)
	if rep.header == nil {
		rep.header = http.Header{}
	}
	rep.header.Set("Server", "github.com")
	rep.header.Set("X-GitHub-Request-Id", requestID(s.opts.Seed, n))
	s.answered(n, c, f, rep)
	return rep
}

// received writes the request into the log and gives its number. It also finds the path's plain form.
func (s *Server) received(c *call) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rest, ok := strings.CutPrefix(c.path, "/api/v3/"); ok {
		c.path, c.prefix = "/"+rest, "/api/v3"
	}
	// GitHub's own links name repositories by id.
	if rest, ok := strings.CutPrefix(c.path, "/repositories/"); ok {
		number, tail, _ := strings.Cut(rest, "/")
		for _, r := range s.world.repositories {
			if strconv.FormatInt(r.id, 10) == number {
				c.path = strings.TrimRight("/repos/"+r.String()+"/"+tail, "/")
			}
		}
	}
	s.requests = append(s.requests, RequestRecord{At: time.Now().UTC(), Method: c.method, Path: c.url.RequestURI()})
	return len(s.requests) - 1
}

// answered completes the log. A request that is still held has no status there.
func (s *Server) answered(n int, c *call, f *armed, rep reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.requests[n]
	if !rep.reset {
		r.Status = rep.status
	}
	if c.token != nil {
		r.Login = c.token.login
	}
	if f != nil {
		r.Fault = f.spec.Kind
	}
}

// requestID looks like GitHub's.
func requestID(seed uint64, n int) string {
	h := strings.ToUpper(seeded(seed, "request", n).hex(36))
	return h[:4] + ":" + h[4:10] + ":" + h[10:17] + ":" + h[17:24] + ":" + h[24:32]
}

// handle routes the request.
func (s *Server) handle(c *call) reply {
	if strings.HasPrefix(c.path, "/_runner/") {
		return s.runner(c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.now = time.Now()
	s.world.advance(c.now)
	rep := s.rest(c)
	if s.world.ahead != 0 && rep.header != nil {
		rep.header.Set("Date", c.now.Add(s.world.ahead).UTC().Format(http.TimeFormat))
	}
	return rep
}

// loopback reports whether the client is on this machine.
func (c *call) loopback() bool {
	host, _, err := net.SplitHostPort(c.remote)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// number reads a path argument; what isn't a number names nothing.
func (c *call) number(name string) int64 {
	n, err := strconv.ParseInt(c.args[name], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
