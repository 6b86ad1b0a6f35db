package pve

// The ids that every stand-in has.
const (
	templateID    = 9000
	poolRunners   = "ci"           // resource pool of the runners' VMs
	poolTemplates = "ci-templates" // resource pool of the templates
	fleetToken    = "ci@pve!mayfly"
	adminToken    = "admin@pve!sim"
)

// cluster is what the nodes share (pmxcfs) and what each of them knows.
type cluster struct {
	url      string
	tokens   map[string]*token
	requests []RequestState
}

// token is an API token.
type token struct {
	secret string
}
