// Package failpoint lets a test, or an operator rehearsing a failure, make a process die, stall or
// fail at a named step of a protocol.
//
// A [Set] is built once, from text such as
//
//	before-publish=kill;relay-after-publish=sleep(15s);analytics-before-insert=2*error(disk full)
//
// and handed to the code that has the steps; there is no global registry. Each step calls
// [Set.Hit] with its name. A nil *Set is the normal case in production: it acts never and costs one
// comparison.
//
// # Grammar
//
//	spec   = point *( ";" point )
//	point  = name "=" [ count "*" ] action
//	action = "kill" | "panic" | "sleep(" duration ")" | "error(" text ")"
//
// Without a count the action is taken at every hit. With a count n it is taken at the n-th hit and at
// no other: "3*kill" lets two pass and kills the process at the third.
//
// Guarantees: a name or an action that is not known is refused when the text is parsed, so that a
// misspelt failpoint never makes a test pass for nothing. A kill is SIGKILL: no deferred function,
// flush or handler runs after it.
package failpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// EnvVar is the environment variable that [FromEnv] reads.
const EnvVar = "BURSAR_FAILPOINTS"

// Name is the name of one step. Only the names in [Names] are accepted.
type Name string

// The steps that can be made to fail, in the order in which a decision passes them.
const (
	// BeforePublish is reached when a commit is decided and encoded, and not yet sent.
	BeforePublish Name = "before-publish"
	// AfterPublish is reached when a commit is sent, and its acknowledgement not yet read.
	AfterPublish Name = "after-publish"
	// AfterAck is reached when the store acknowledged a commit, before the writer notes it.
	AfterAck Name = "after-ack"
	// BeforeReply is reached when a commit is noted, before its callers are answered.
	BeforeReply Name = "before-reply"
	// MidKeyframe is reached when some chunks of a keyframe are written, and not all.
	MidKeyframe Name = "mid-keyframe"
	// AfterEpochClaim is reached when a new leader committed its epoch, before it serves.
	AfterEpochClaim Name = "after-epoch-claim"
	// RelayAfterPublish is reached when the relay published the events of a commit, before it acknowledges it.
	RelayAfterPublish Name = "relay-after-publish"
	// AnalyticsBeforeInsert is reached when analytics holds a batch, before it is inserted.
	AnalyticsBeforeInsert Name = "analytics-before-insert"
	// AnalyticsAfterInsert is reached when a batch is inserted, before analytics notes it.
	AnalyticsAfterInsert Name = "analytics-after-insert"
	// AnalyticsBeforeAck is reached when a batch is inserted and noted, before it is acknowledged.
	AnalyticsBeforeAck Name = "analytics-before-ack"
)

// Names returns every known name, in the order in which a decision passes them.
func Names() []Name {
	return []Name{
		BeforePublish, AfterPublish, AfterAck, BeforeReply, MidKeyframe, AfterEpochClaim,
		RelayAfterPublish, AnalyticsBeforeInsert, AnalyticsAfterInsert, AnalyticsBeforeAck,
	}
}

// ErrInjected is wrapped by every error that a failpoint returns on purpose.
var ErrInjected = errors.New("injected failure")

// Set holds the failpoints that are armed. It never changes after [Parse] but for its hit counters,
// and it is safe for concurrent use. The nil Set has none armed.
type Set struct {
	points map[Name]*point
}

type point struct {
	action action
	// only is the hit at which the action is taken, counted from 1; 0 means every hit.
	only uint64
	hits atomic.Uint64
}

// FromEnv parses the value of [EnvVar] as getenv (normally [os.Getenv]) gives it. The result is nil
// when the variable is empty.
func FromEnv(getenv func(string) string) (*Set, error) {
	set, err := Parse(getenv(EnvVar))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EnvVar, err)
	}
	return set, nil
}

// Parse reads a specification in the grammar of the package comment. Text without any failpoint
// gives nil. Every fault of the text is reported at once.
func Parse(spec string) (*Set, error) {
	points := map[Name]*point{}
	var faults []error
	for text := range strings.SplitSeq(spec, ";") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		name, p, err := parsePoint(text)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if points[name] != nil {
			faults = append(faults, fmt.Errorf("failpoint %q is given twice", name))
			continue
		}
		points[name] = p
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if len(points) == 0 {
		return nil, nil
	}
	return &Set{points: points}, nil
}

// Hit tells the set that the step called name is reached and takes the action armed for it, if any.
//
// It returns nil when nothing is armed or a sleep ran its time, an error that wraps [ErrInjected]
// for "error", and an error that wraps ctx.Err() when ctx ended a sleep. It panics for "panic" and
// does not return for "kill".
func (s *Set) Hit(ctx context.Context, name Name) error {
	if s == nil {
		return nil
	}
	p := s.points[name]
	if p == nil {
		return nil
	}
	if hit := p.hits.Add(1); p.only != 0 && hit != p.only {
		return nil
	}
	return p.action.take(ctx, name)
}

// Hits returns how often the armed step called name was reached, whether or not it acted. It is 0
// for a step that is not armed.
func (s *Set) Hits(name Name) uint64 {
	if s == nil || s.points[name] == nil {
		return 0
	}
	return s.points[name].hits.Load()
}

// String gives the armed names in order, for a log line at start; it is empty for the nil Set.
func (s *Set) String() string {
	if s == nil {
		return ""
	}
	var armed []string
	for _, name := range Names() {
		if s.points[name] != nil {
			armed = append(armed, string(name))
		}
	}
	return strings.Join(armed, ",")
}

// action is what happens at a hit.
type action struct {
	kind  kind
	text  string
	delay time.Duration
}

type kind string

const (
	kill     kind = "kill"
	panics   kind = "panic"
	sleeps   kind = "sleep"
	failures kind = "error"
)

func (a action) take(ctx context.Context, name Name) error {
	switch a.kind {
	case kill:
		return killSelf(name)
	case panics:
		panic(fmt.Sprintf("failpoint %s", name))
	case sleeps:
		return sleep(ctx, name, a.delay)
	default:
		return fmt.Errorf("failpoint %s: %w: %s", name, ErrInjected, a.text)
	}
}

// killSelf ends this process with SIGKILL. The signal may arrive after the call returned, so it
// then waits for the end: no step after a kill may run.
func killSelf(name Name) error {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		return fmt.Errorf("failpoint %s: %w: cannot kill this process: %w", name, ErrInjected, err)
	}
	select {}
}

func sleep(ctx context.Context, name Name, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("failpoint %s: sleep ended early: %w", name, ctx.Err())
	}
}

func known(name Name) bool { return slices.Contains(Names(), name) }
