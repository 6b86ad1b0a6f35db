package pve

import (
	"time"

	"mayfly/internal/runner"
)

// Kinds of decoys, as [VMState.Decoy] names them. Each is there once inside the resource pool of the runners, where the
// fleet's token sees it and may destroy it, and once outside. None of them is the fleet's, however much it looks it.
const (
	decoyPrefix    = "foreign VM with our name prefix"
	decoyMarker    = "copied marker"
	decoyTags      = "our tags"
	decoyTemplate  = "template"
	decoyLocked    = "locked"
	decoyProtected = "protected"
)

// What decoys pretend: the defaults of a configuration made of environment variables alone.
const (
	decoyInstallation = "energyplus-runner-200"
	decoyName         = "energyplus-runner"
)

// decoyPlan is where each decoy is; all are among VMIDs 200 to 299, both ends included.
var decoyPlan = []struct {
	kind            string
	inside, outside int
}{
	{decoyPrefix, 200, 207},
	{decoyMarker, 211, 216},
	{decoyTags, 222, 228},
	{decoyTemplate, 234, 241},
	{decoyLocked, 247, 254},
	{decoyProtected, 261, 299},
}

// addDecoys makes them, on the first node.
func (s *Server) addDecoys() {
	for _, d := range decoyPlan {
		for _, at := range []struct {
			id   int
			pool string
			tail string
		}{{d.inside, poolRunners, "in"}, {d.outside, "", "out"}} {
			v := s.addDecoy(d.kind, at.id, at.pool, at.tail)
			v.record.Decoy = d.kind
		}
	}
}

func (s *Server) addDecoy(kind string, id int, inPool, tail string) *vm {
	switch kind {
	case decoyPrefix: // an older dispatcher's runner, busy
		v := s.plainVM(s.opts.Node, id, decoyName+"-"+tail, inPool)
		s.pretendRunning(v)
		return v
	case decoyMarker: // a clone that somebody made by hand of a runner, to look into it
		v := s.plainVM(s.opts.Node, id, "debug-copy-"+tail, inPool)
		v.conf["description"] = runner.Marker{
			Installation: decoyInstallation, Runner: decoyName + "-0123456789", VMID: 205, Pool: "default",
			Created: s.start.Add(-48 * time.Hour), Version: "0.1.0",
		}.Description()
		v.conf["tags"] = decoyTagList
		return v
	case decoyTags:
		v := s.plainVM(s.opts.Node, id, "tagged-"+tail, inPool)
		v.conf["tags"] = decoyTagList
		return v
	case decoyTemplate:
		v := s.plainVM(s.opts.Node, id, decoyName+"-base-"+tail, inPool)
		v.conf["template"] = "1"
		s.makeBase(v)
		return v
	case decoyLocked: // while vzdump saves it
		v := s.plainVM(s.opts.Node, id, decoyName+"-db-"+tail, inPool)
		v.conf["lock"] = "backup"
		s.pretendRunning(v)
		return v
	}
	v := s.plainVM(s.opts.Node, id, decoyName+"-keep-"+tail, inPool)
	v.conf["protection"] = "1"
	return v
}

const decoyTagList = "mayfly;mayfly-" + decoyInstallation + ";pool-default"

// pretendRunning makes a VM run that no engine knows: its agent doesn't answer, all else is as usual.
func (s *Server) pretendRunning(v *vm) {
	n := s.nodes[v.node]
	n.pids += 3
	v.running, v.startedAt, v.pid, v.gone = true, s.start.Add(-3*time.Hour), n.pids, make(chan struct{})
	v.starts = 1
	v.record.StartedAt = []time.Time{v.startedAt}
}
