package gh

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// world is GitHub's state. [Server.mu] guards it.
type world struct {
	opts          Options
	born          time.Time
	nextID        map[string]int64
	repositories  []*repository
	tokens        map[string]*token
	tickets       map[string]ticket // registration and remove tokens
	runs          map[int64]*run
	jobs          map[int64]*job
	registrations map[int64]*registration
	bySecret      map[string]*registration
	// open and live are what isn't over yet, in order of creation: jobs not completed, registrations not removed.
	open []*job
	live []*registration
	pace pace
	// groups of organizations, by owner.
	groups map[string][]*group
	labels map[string]int64
	lag    time.Duration // how old lists of runners are (SetRunnerLag)
	ahead  time.Duration // how far the clock that is shown is ahead of the real one (SetClock)
	// withdrawn is how many jobs are still taken back as their runners start them (WithdrawNext).
	withdrawn int
	cache     map[string]json.RawMessage // what is rendered once
}

// repository is one repository and its runs, the oldest first.
type repository struct {
	id          int64
	owner, name string
	public      bool
	runs        []*run
}

func (r *repository) String() string { return r.owner + "/" + r.name }

// run is a workflow run with the jobs of all its attempts.
type run struct {
	id        int64
	number    int
	attempt   int
	repo      *repository
	event     string
	branch    string
	head      string // of [JobSpec]
	sha       string
	actor     string
	workflow  string
	created   time.Time
	updated   time.Time
	attemptAt []time.Time // when each attempt began
	jobs      []*job
}

// job is one job of one attempt.
type job struct {
	id         int64
	run        *run
	attempt    int
	spec       jobSpec
	status     string // "queued", "in_progress", "completed", "waiting", "pending" or "requested"
	conclusion string
	reason     string
	created    time.Time
	queued     time.Time // when it became "queued" last
	assignedAt time.Time
	started    time.Time
	completed  time.Time
	// runner is who has it: assigned (status "queued") or running it; it stays after completion.
	runner     *registration
	noRunner   bool // completed without ever having had one: GitHub shows 0 and "" then
	told       bool // the runner that it is assigned to has had the message
	leaseUntil time.Time
	cancelAt   time.Time // when a cancellation was asked for
	cancelTold bool      // the runner was told by message
	byRunner   bool      // the runner said how it ended
	stolenTill time.Time // when a runner that is none of the stand-in's clients ends it; zero for a job of theirs
	assigned   int
	starts     int
	log        strings.Builder
}

// jobSpec is what a job consists of.
type jobSpec struct {
	name     string
	labels   []string
	steps    []StepSpec
	duration time.Duration
	fail     bool
	env      map[string]string
}

// registration is a runner as GitHub knows it.
type registration struct {
	id            int64
	name          string
	owner, repo   string // repo is "" for an organization's runner
	labels        []string
	groupID       int64
	workFolder    string
	ephemeral     bool
	disableUpdate bool
	secret        string
	version, os   string // as its last session said
	created       time.Time
	firstSeen     time.Time
	lastSeen      time.Time
	removed       time.Time
	removedWhy    string
	// consumed: the one job of an ephemeral registration went to waste; GitHub forgets the runner, but its
	// listener is never told (actions/runner#4617).
	consumed bool
	// served: its one job is completed, and its listener ends by itself: a poll that is held isn't told.
	served    bool
	told      int64 // the job it was told of last
	session   *session
	job       *job // assigned or running
	idleSince time.Time
	jobs      []int64 // started
}

// session is a runner's connection.
type session struct {
	id     string
	owner  string
	polls  int           // held at the moment
	notify chan struct{} // gets a token when there is something to look at; buffered
}

// wake makes a held poll look again.
func (s *session) wake() {
	if s == nil {
		return
	}
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// ticket is a registration or remove token.
type ticket struct {
	owner, repo string
	expires     time.Time
	remove      bool
}

func newWorld(o Options, now time.Time) world {
	w := world{
		opts: o, born: now, nextID: map[string]int64{}, tokens: map[string]*token{}, tickets: map[string]ticket{},
		runs: map[int64]*run{}, jobs: map[int64]*job{}, registrations: map[int64]*registration{}, pace: pace{},
		bySecret: map[string]*registration{}, groups: map[string][]*group{}, labels: map[string]int64{},
		cache: map[string]json.RawMessage{},
	}
	for _, spec := range o.Repositories {
		owner, name, _ := strings.Cut(spec.Name, "/")
		if w.repository(owner, name) == nil {
			w.addRepository(owner, name, spec.Public)
		}
	}
	for i, t := range o.Tokens {
		w.tokens[t.Token] = newToken(t, int64(i+1), o.RateLimit)
	}
	return w
}

// firstIDs are where the ids of each kind begin, far enough apart that a mix-up shows.
var firstIDs = map[string]int64{"repository": 700_001, "run": 5_000_000_001, "job": 9_000_000_001, "runner": 101, "group": 2, "label": 1}

// id gives the next id of a kind.
func (w *world) id(kind string) int64 {
	if w.nextID[kind] == 0 {
		w.nextID[kind] = firstIDs[kind]
	}
	w.nextID[kind]++
	return w.nextID[kind] - 1
}

// repository finds one by name; GitHub compares names case-insensitively.
func (w *world) repository(owner, name string) *repository {
	i := slices.IndexFunc(w.repositories, func(r *repository) bool {
		return strings.EqualFold(r.owner, owner) && strings.EqualFold(r.name, name)
	})
	if i < 0 {
		return nil
	}
	return w.repositories[i]
}

// addRepository makes a repository, and the default runner group if its owner is new.
func (w *world) addRepository(owner, name string, public bool) *repository {
	r := &repository{id: w.id("repository"), owner: owner, name: name, public: public}
	w.repositories = append(w.repositories, r)
	key := strings.ToLower(owner)
	if w.groups[key] == nil {
		w.groups[key] = []*group{{id: defaultGroup, name: "Default", visibility: "all", isDefault: true}}
	}
	return r
}

// sortedJobs are all jobs by id.
func (w *world) sortedJobs() []*job {
	all := make([]*job, 0, len(w.jobs))
	for _, j := range w.jobs {
		all = append(all, j)
	}
	slices.SortFunc(all, func(a, b *job) int { return cmp.Compare(a.id, b.id) })
	return all
}

// sortedRunners are all registrations, removed ones too, by id.
func (w *world) sortedRunners() []*registration {
	all := make([]*registration, 0, len(w.registrations))
	for _, r := range w.registrations {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *registration) int { return cmp.Compare(a.id, b.id) })
	return all
}
