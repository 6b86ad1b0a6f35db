package fleet

import (
	"fmt"
	"strconv"

	"mayfly/internal/runner"
)

// lack is what speaks against a candidate.
type lack int

const (
	noLack lack = iota
	isBarred
	isOffline
	isSilent
	isResting
	lacksMemory
	lacksCores
	lacksStorage
	lacksSpace
	lacksNodeTask
	lacksSpaceTask
)

// passes reports whether it is only for the clones and destroys that run, which end soon.
func (l lack) passes() bool { return l == lacksNodeTask || l == lacksSpaceTask }

// verdict is the first lack of a candidate, and the storage that has it where one has.
type verdict struct {
	lack  lack
	space *spaceLoad
}

// fits looks for what speaks against a candidate. A plan asks it of each node for each clone: it makes no words.
func (pl Placement) fits(c *candidate) verdict {
	n := c.load
	switch {
	case c.barred != "":
		return verdict{lack: isBarred}
	case !n.online:
		return verdict{lack: isOffline}
	case n.silent != "":
		return verdict{lack: isSilent}
	case n.maintenance:
		return verdict{lack: isResting}
	case pl.countsMemory(n) && pl.freeMemory(n) < c.want.memory:
		return verdict{lack: lacksMemory}
	case pl.countsCores(n) && float64(n.cores+c.want.cores) > n.cpus*pl.CPUOvercommit:
		return verdict{lack: lacksCores}
	}
	for _, s := range c.spaces {
		switch {
		case s.known && !s.active:
			return verdict{lacksStorage, s}
		case s.known && pl.countsSpace(s) && pl.freeSpace(s) < c.needs:
			return verdict{lacksSpace, s}
		}
	}
	if n.tasks >= pl.nodeTasks() {
		return verdict{lack: lacksNodeTask}
	}
	for _, s := range c.spaces {
		if s.tasks >= pl.storageTasks() {
			return verdict{lacksSpaceTask, s}
		}
	}
	return verdict{}
}

// why puts a verdict into words; "" for none.
func (pl Placement) why(c *candidate, v verdict) string {
	n, want := c.load, c.want
	switch v.lack {
	case isBarred:
		return c.barred
	case isOffline:
		return "it is offline"
	case isSilent:
		return "it doesn't answer: " + n.silent
	case isResting:
		return "it is in maintenance"
	case lacksMemory:
		return fmt.Sprintf("%s of memory free after %s of reserve and what runners are promised, %s needed", max(pl.freeMemory(n), 0), pl.MemoryReserve, want.memory)
	case lacksCores:
		return fmt.Sprintf("runners have %d of the %.0f cores that they may have (%.0f times cpu_overcommit), %d needed", n.cores, n.cpus*pl.CPUOvercommit, n.cpus, want.cores)
	case lacksStorage:
		return fmt.Sprintf("storage %s isn't active", v.space.name)
	case lacksSpace:
		return fmt.Sprintf("storage %s has %s free after %s of reserve and what runners may grow, %s needed", v.space.name, max(pl.freeSpace(v.space), 0), pl.StorageReserve, c.needs)
	case lacksNodeTask:
		return strconv.Itoa(n.tasks) + " clones and destroys run already" // the usual word, of every node of a busy cluster
	case lacksSpaceTask:
		return fmt.Sprintf("%d clones and destroys run already on storage %s", v.space.tasks, v.space.name)
	}
	return ""
}

// freeSpace is what runners may still take of a storage.
func (pl Placement) freeSpace(s *spaceLoad) runner.Bytes {
	return s.free - s.promised - pl.StorageReserve
}

func (pl Placement) countsMemory(n *nodeLoad) bool { return pl.MemoryOvercommit > 0 && n.memory > 0 }
func (pl Placement) countsCores(n *nodeLoad) bool  { return pl.CPUOvercommit > 0 && n.cpus > 0 }
func (pl Placement) countsSpace(s *spaceLoad) bool {
	return s.size > 0 && (pl.StorageReserve > 0 || pl.LinkedGrowth > 0)
}

// freeMemory is what runners may still be promised.
func (pl Placement) freeMemory(n *nodeLoad) runner.Bytes {
	return runner.Bytes(float64(n.memory)*pl.MemoryOvercommit) - pl.MemoryReserve - n.used - n.promised
}
