package relay

import (
	"sync"

	"github.com/bursarhq/bursar/pkg/wire"
)

// subjectsKept is how many subjects of events are remembered.
const subjectsKept = 20_000

// route is what the subject of an event is made of.
type route struct{ workspace, principal, agent, kind string }

// subjects remembers the subjects of events: the same few agents cause them. When it is full it starts over.
type subjects struct {
	mu   sync.Mutex
	made map[route]string
}

func newSubjects() *subjects { return &subjects{made: map[route]string{}} }

// of gives the subject of an event. Errors: as of [wire.EventSubject].
func (s *subjects) of(r route) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if subject, ok := s.made[r]; ok {
		return subject, nil
	}
	subject, err := wire.EventSubject(r.workspace, r.principal, r.agent, r.kind)
	if err != nil {
		return "", err
	}
	if len(s.made) >= subjectsKept {
		clear(s.made)
	}
	s.made[r] = subject
	return subject, nil
}
