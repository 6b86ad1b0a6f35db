package pve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"mayfly/internal/sim/wire"
)

// maxBody is the limit of a request's body, uploads excepted (pve-http-server 5.2.1: 512 KiB).
const maxBody = 512 << 10

// call is one API call on its way to its handler.
type call struct {
	ctx    context.Context // ends when the server closes, not when the client gives up
	method *method
	token  *token
	params params
	via    string // the node that it was sent to
	node   *node  // where it runs
	upload *uploadedFile
	total  int // set by handlers whose reply tells it; 0 leaves it out
}

// vmid is the VM that the path names.
func (q *call) vmid() int { return q.params.num("vmid", 0) }

// traceKey carries a request's record from the handler to the request log.
type traceKey struct{}

// trace is what the request log learns from handling.
type trace struct {
	token, node string
	vmid, newid int
}

func (s *Server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_sim/") {
			s.serveDoor(w, r)
			return
		}
		tr := &trace{}
		wire.SetNote(w, tr)
		data, total, err := s.serve(r.WithContext(context.WithValue(r.Context(), traceKey{}, tr)))
		s.reply(w, data, total, err)
	})
}

// serve takes a request through the stages of pveproxy, in its order: header, authentication, body, method,
// permissions, node, daemon worker, parameters, handler.
func (s *Server) serve(r *http.Request) (any, int, error) {
	if err := checkHeader(r); err != nil {
		return nil, 0, err
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/api2/json")
	if !ok || path != "" && path[0] != '/' {
		if strings.HasPrefix(r.URL.Path, "/api2/") {
			return nil, 0, &apiError{status: 501, msg: "no such uri", text: true}
		}
		return nil, 0, &apiError{status: 500, msg: "no such file '" + r.URL.Path + "'", text: true}
	}
	auth, err := s.authenticate(r, path)
	if err != nil {
		return nil, 0, err
	}
	q := &call{token: auth, params: params{}, via: s.apiNode(r.Host)}
	defer q.note(r.Context())
	if err := s.readBody(r, path, q); err != nil {
		return nil, 0, err
	}
	m, args := s.methods.find(r.Method, path)
	if m == nil {
		return nil, 0, &apiError{status: 501, msg: "Method '" + r.Method + " " + path + "' not implemented", exact: true}
	}
	q.method = m
	for k, v := range args {
		if q.params.has(k) && q.params.str(k) != v {
			return nil, 0, badParam(k, "duplicate parameter (already defined in URI) with conflicting values!")
		}
		q.params[k] = v
	}
	if err := s.allowed(m, auth, q.params); err != nil {
		return nil, 0, err
	}
	if err := s.resolveNode(q); err != nil {
		return nil, 0, err
	}
	q.ctx = r.Context()
	if err := s.reach(q); err != nil {
		return nil, 0, err
	}
	data, err2 := s.dispatch(q)
	return data, q.total, err2
}

// note tells the request log what the call was about.
func (q *call) note(ctx context.Context) {
	if tr, ok := ctx.Value(traceKey{}).(*trace); ok {
		tr.vmid, tr.newid = q.vmid(), q.params.num("newid", 0)
		if q.node != nil {
			tr.node = q.node.name
		}
	}
}

// checkHeader is what pveproxy refuses before it asks who it is.
func checkHeader(r *http.Request) *apiError {
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		return &apiError{status: 501, msg: "method '" + r.Method + "' not available", bare: true}
	}
	if len(r.TransferEncoding) > 0 {
		return &apiError{status: 501, msg: "chunked transfer encoding not supported", text: true}
	}
	return nil
}

// authenticate finds the token; every refusal comes after the delay that slows guessing.
func (s *Server) authenticate(r *http.Request, path string) (*token, error) {
	t, reason := s.findToken(r.Header.Get("Authorization"))
	if reason != "" {
		if err := pause(r.Context(), s.opts.Timing.AuthFailure); err != nil {
			return nil, err
		}
		return nil, proxyError(http.StatusUnauthorized, reason)
	}
	if tr, ok := r.Context().Value(traceKey{}).(*trace); ok {
		tr.token = t.id
	}
	// An upload's privilege is checked here already, before its body is read, and the refusal has no body.
	if f := strings.Split(strings.Trim(path, "/"), "/"); r.Method == http.MethodPost && len(f) == 5 && f[0] == "nodes" && f[2] == "storage" && f[4] == "upload" {
		s.lock()
		err := s.require(t, "/storage/"+f[3], "Datastore.AllocateTemplate")
		s.mu.Unlock()
		if err != nil {
			if perr := pause(r.Context(), s.opts.Timing.AuthFailure); perr != nil {
				return nil, perr
			}
			err.bare = true
			return nil, err
		}
	}
	return t, nil
}

// findToken reads the Authorization header: "PVEAPIToken=user@realm!name=secret". The scheme is case-sensitive, and a
// space does for the first "=".
func (s *Server) findToken(header string) (*token, string) {
	rest, ok := strings.CutPrefix(header, "PVEAPIToken")
	if !ok || rest == "" || rest[0] != '=' && rest[0] != ' ' {
		return nil, "No ticket"
	}
	id, secret, _ := strings.Cut(rest[1:], "=")
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.access.tokens[id]
	if t == nil || t.disabled || t.secret != secret {
		return nil, "Authentication failed!"
	}
	return t, ""
}

// readBody fills in the call's parameters from the query and the body.
func (s *Server) readBody(r *http.Request, path string, q *call) error {
	q.params.addForm(decodeForm(r.URL.RawQuery))
	if r.ContentLength == 0 {
		return nil
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		return &apiError{status: 501, msg: "Unexpected content for method '" + r.Method + "'", text: true}
	}
	ctype := r.Header.Get("Content-Type")
	if r.Method == http.MethodPost && strings.HasSuffix(path, "/upload") && strings.Contains(path, "/storage/") {
		return s.readUpload(r, ctype, q)
	}
	if r.ContentLength > maxBody {
		return &apiError{status: 501, msg: "for data too large", text: true}
	}
	kind, _, err := mime.ParseMediaType(ctype)
	if ctype != "" && err != nil {
		kind = ctype
	}
	switch kind {
	case "", "application/x-www-form-urlencoded", "application/json":
	default:
		return &apiError{status: 506, msg: "upload 'Content-Type '" + ctype + "' not implemented", text: true}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err // the client is gone: nobody reads the reply
	}
	// What doesn't begin like an object is read as a form, whatever it is said to be (recorded from Proxmox VE 9.2).
	if kind == "application/json" && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		if err := q.params.addJSON(body); err != nil {
			return err
		}
		return nil
	}
	q.params.addForm(decodeForm(string(body)))
	return nil
}

// resolveNode finds the node that a call runs on.
func (s *Server) resolveNode(q *call) *apiError {
	name := q.via
	if q.method.ProxyTo == "node" || strings.HasPrefix(q.method.Path, "/nodes/{node}") {
		name = q.params.str("node")
		if name == "localhost" {
			name = q.via
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q.node = s.nodes[name]
	if q.node == nil {
		return failf("hostname lookup '%s' failed - failed to get address info for: %s: Name or service not known", name, name)
	}
	return nil
}

// dispatch verifies the parameters and runs the handler, for protected methods in one of the node's daemon workers. A
// worker that takes longer than the proxy waits answers nobody: 596, and goes on.
func (s *Server) dispatch(q *call) (any, error) {
	handle := s.handlers[q.method.name()]
	run := func() (any, error) {
		if err := q.method.Parameters.verify(q.params); err != nil {
			return nil, err
		}
		if err := s.writable(q); err != nil {
			return nil, err
		}
		return handle(q)
	}
	if !q.method.Protected {
		return run()
	}
	type result struct {
		data any
		err  error
	}
	done := make(chan result, 1)
	// The worker isn't the request's: it outlives the proxy's patience. Its context is the server's.
	proxied := q.ctx
	s.mu.Lock()
	q.ctx = q.node.ctx
	s.mu.Unlock()
	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		select {
		case q.node.workers <- struct{}{}:
		case <-s.ctx.Done():
			done <- result{nil, s.ctx.Err()}
			return
		}
		defer func() { <-q.node.workers }()
		data, err := run()
		done <- result{data, err}
	}()
	timer := time.NewTimer(s.opts.Timing.ProxyTimeout)
	defer timer.Stop()
	select {
	case r := <-done:
		if !s.down(q.node) {
			return r.data, r.err
		}
		select { // the node died meanwhile, and says nothing more
		case <-timer.C:
		case <-proxied.Done():
		}
		return nil, proxyError(596, "Connection timed out")
	case <-timer.C:
		return nil, proxyError(596, "Connection timed out")
	case <-proxied.Done():
		return nil, proxied.Err()
	}
}

// reply writes what the API sends.
func (s *Server) reply(w http.ResponseWriter, data any, total int, err error) {
	h := w.Header()
	h.Set("Cache-Control", "max-age=0")
	h.Set("Pragma", "no-cache")
	h.Set("Server", "pve-api-daemon/3.0")
	h.Set("Expires", time.Now().UTC().Format(http.TimeFormat))
	body := map[string]any{"data": data}
	if total > 0 {
		body["total"] = total
	}
	status := http.StatusOK
	if err != nil {
		var ae *apiError
		if !errors.As(err, &ae) {
			ae = failf("%s", err)
		}
		reason, ok := latin1(firstLineOf(ae.msg))
		if !ok {
			// The real server dies writing such a status line, and its proxy says this.
			ae = proxyError(596, "Broken pipe")
			reason = ae.msg
		}
		wire.SetReason(w, reason)
		status = ae.status
		switch {
		case ae.bare:
			w.WriteHeader(status)
			return
		case ae.text:
			w.WriteHeader(status)
			_, _ = io.WriteString(w, ae.msg)
			return
		}
		body["data"], body["message"] = nil, ae.msg+"\n"
		if ae.exact {
			body["message"] = ae.msg
		}
		if len(ae.fields) > 0 {
			body["errors"] = ae.fields
		}
	}
	h.Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(encodeJSON(body))
}

// latin1 is the text as the status line carries it, one byte a character; ok is false when it has others.
func latin1(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return "", false
		}
		out = append(out, byte(r))
	}
	return string(out), true
}
