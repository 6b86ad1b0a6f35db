package pve

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// access is user.cfg: who may do what. Server.mu guards it.
type access struct {
	tokens map[string]*token              // by "user@realm!name"
	roles  map[string][]string            // role to privileges
	acl    map[string]map[string][]string // path to user or token to roles, all propagating
	pools  map[string]*pool
}

// token is an API token. All of the stand-in's tokens have separated privileges: what both the token and its user
// may.
type token struct {
	id       string // "ci@pve!mayfly"
	secret   string
	disabled bool // expired, revoked: authentication fails
}

func (t *token) user() string {
	user, _, _ := strings.Cut(t.id, "!")
	return user
}

func (t *token) name() string {
	_, name, _ := strings.Cut(t.id, "!")
	return name
}

// pool is a resource pool; its VMs know it by vm.pool.
type pool struct {
	id, comment string
}

// grant gives roles on path to a token and to its user, as privilege separation asks for.
func (a *access) grant(path, tokenID string, roles ...string) {
	if a.acl[path] == nil {
		a.acl[path] = map[string][]string{}
	}
	user, _, _ := strings.Cut(tokenID, "!")
	for _, who := range []string{tokenID, user} {
		a.acl[path][who] = append(a.acl[path][who], roles...)
	}
}

// rolesAt are the roles of a user or token on a path: those of the deepest entry on the way to it, which replace those
// above (AccessControl.pm, roles).
func (a *access) rolesAt(who, path string) []string {
	roles := a.acl["/"][who]
	if path == "/" {
		return roles
	}
	at := ""
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		at += "/" + part
		if r := a.acl[at][who]; len(r) > 0 {
			roles = r
		}
	}
	return roles
}

// each calls yield for the privileges that a user or token has on path by its own, and for those that come from VMs' resource
// pools, until it returns false.
func (a *access) each(who, path string, poolOf func(vmid string) string, yield func(priv string) bool) {
	held := func(path string) bool {
		for _, r := range a.rolesAt(who, path) {
			for _, p := range a.roles[r] {
				if !yield(p) {
					return false
				}
			}
		}
		return true
	}
	if !held(path) {
		return
	}
	if vmid, ok := strings.CutPrefix(path, "/vms/"); ok {
		if p := poolOf(vmid); p != "" {
			held("/pool/" + p)
		}
	}
}

// has reports whether a user or token has the privilege on path. Lists ask it of every entry.
func (c *cluster) has(who, path, priv string) bool {
	found := false
	c.each(who, path, c.poolOf, func(p string) bool {
		found = p == priv
		return !found
	})
	return found
}

// holds reports whether a token and its user have the privilege on path.
func (c *cluster) holds(t *token, path, priv string) bool {
	return c.has(t.id, path, priv) && c.has(t.user(), path, priv)
}

// permissions are what a token may on path: the intersection with its user's.
func (c *cluster) permissions(t *token, path string) map[string]bool {
	all := map[string]bool{}
	c.each(t.id, path, c.poolOf, func(p string) bool {
		if c.has(t.user(), path, p) {
			all[p] = true
		}
		return true
	})
	return all
}

// may reports whether a token has one of the privileges on path.
func (c *cluster) may(t *token, path string, privs ...string) bool {
	return slices.ContainsFunc(privs, func(p string) bool { return c.holds(t, path, p) })
}

// require demands all of the privileges.
func (c *cluster) require(t *token, path string, privs ...string) *apiError {
	for _, p := range privs {
		if !c.holds(t, path, p) {
			return forbidden("%s, %s", path, p)
		}
	}
	return nil
}

// requireAny demands one of them.
func (c *cluster) requireAny(t *token, path string, privs ...string) *apiError {
	if c.may(t, path, privs...) {
		return nil
	}
	return forbidden("%s, %s", path, strings.Join(privs, "|"))
}

// requireVM demands privileges on a VM, or on the resource pool that it is made in.
func (c *cluster) requireVM(t *token, vmid int, inPool string, privs ...string) *apiError {
	if inPool != "" && c.require(t, "/pool/"+inPool, privs...) == nil {
		return nil
	}
	return c.require(t, fmt.Sprintf("/vms/%d", vmid), privs...)
}

// check is a method's permission test, as the schema writes it.
type check interface {
	run(c *cluster, t *token, p params) *apiError
}

type checkAll []check

func (all checkAll) run(c *cluster, t *token, p params) *apiError {
	for _, k := range all {
		if err := k.run(c, t, p); err != nil {
			return err
		}
	}
	return nil
}

type checkOne []check

func (one checkOne) run(c *cluster, t *token, p params) *apiError {
	for _, k := range one {
		if k.run(c, t, p) == nil {
			return nil
		}
	}
	return &apiError{status: 403, msg: "Permission check failed"} // Proxmox doesn't say which
}

type checkPerm struct {
	path     string // with {placeholders}
	privs    []string
	any      bool
	requires string // a parameter without which the test fails
}

// aclPath is what a path in the access control may look like; others are nothing, on which nobody has a privilege
// (pve-access-control: AccessControl.pm, normalize_path).
var aclPath = regexp.MustCompile(`^[a-zA-Z0-9._/-]+$`)

var placeholder = regexp.MustCompile(`\{\w+\}`)

func (k checkPerm) run(c *cluster, t *token, p params) *apiError {
	if k.requires != "" && !p.has(k.requires) {
		return &apiError{status: 403, msg: "Permission check failed"}
	}
	path := placeholder.ReplaceAllStringFunc(k.path, func(name string) string {
		if v := p.str(strings.Trim(name, "{}")); v != "" && v != "0" {
			return v
		}
		return "-" // so that who may do it everywhere hears which parameter is missing (pve-common: Tools.pm, template_replace)
	})
	if !aclPath.MatchString(path) {
		sep := ", "
		if k.any {
			sep = "|"
		}
		return forbidden(", %s", strings.Join(k.privs, sep))
	}
	if k.any {
		return c.requireAny(t, path, k.privs...)
	}
	return c.require(t, path, k.privs...)
}

// parseCheck reads ["perm", path, [privileges], "any", 1], ["and", …] and ["or", …].
func parseCheck(raw json.RawMessage) (check, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil || len(parts) == 0 {
		return nil, fmt.Errorf("check %s: %w", raw, err)
	}
	var kind string
	if err := json.Unmarshal(parts[0], &kind); err != nil {
		return nil, fmt.Errorf("check %s: %w", raw, err)
	}
	switch kind {
	case "and", "or":
		var subs []check
		for _, p := range parts[1:] {
			sub, err := parseCheck(p)
			if err != nil {
				return nil, err
			}
			subs = append(subs, sub)
		}
		if kind == "and" {
			return checkAll(subs), nil
		}
		return checkOne(subs), nil
	case "perm":
		return parsePerm(raw, parts)
	}
	return nil, fmt.Errorf("check %s: unknown test %q", raw, kind)
}

func parsePerm(raw json.RawMessage, parts []json.RawMessage) (check, error) {
	var k checkPerm
	if len(parts) < 3 {
		return nil, fmt.Errorf("check %s: too short", raw)
	}
	if err := json.Unmarshal(parts[1], &k.path); err != nil {
		return nil, fmt.Errorf("check %s: %w", raw, err)
	}
	if err := json.Unmarshal(parts[2], &k.privs); err != nil {
		return nil, fmt.Errorf("check %s: %w", raw, err)
	}
	for i := 3; i+1 < len(parts); i += 2 {
		switch strings.Trim(string(parts[i]), `"`) {
		case "any":
			k.any = true
		case "require_param":
			k.requires = strings.Trim(string(parts[i+1]), `"`)
		default:
			return nil, fmt.Errorf("check %s: unknown option %s", raw, parts[i])
		}
	}
	return k, nil
}

// allowed runs a method's permission test.
func (s *Server) allowed(m *method, t *token, p params) *apiError {
	if m.Permission == nil {
		return forbidden("user != root@pam")
	}
	if m.Permission.User == "all" || m.check == nil {
		return nil
	}
	s.lock()
	defer s.mu.Unlock()
	return m.check.run(&s.cluster, t, p)
}

// getPermissions is GET /access/permissions: path to privilege to whether it propagates.
func (s *Server) getPermissions(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	if q.params.has("userid") {
		if id := q.params.str("userid"); id != q.token.id && id != q.token.user() {
			if err := s.require(q.token, "/access", "Sys.Audit"); err != nil {
				return nil, err
			}
		}
	}
	paths := []string{"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
	for p := range s.acl {
		paths = append(paths, p)
	}
	for id, v := range s.vms {
		if v.pool != "" {
			paths = append(paths, fmt.Sprintf("/vms/%d", id))
		}
	}
	if q.params.has("path") {
		paths = []string{q.params.str("path")}
	}
	out := map[string]map[string]int{}
	for _, p := range paths {
		if have := s.permissions(q.token, p); len(have) > 0 {
			out[p] = map[string]int{}
			for priv := range have {
				out[p][priv] = 1
				if strings.HasPrefix(p, "/vms/") && len(s.rolesAt(q.token.id, p)) == 0 {
					out[p][priv] = 0 // what comes from a resource pool never propagates
				}
			}
		}
	}
	return out, nil
}
