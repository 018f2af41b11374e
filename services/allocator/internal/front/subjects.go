package front

import (
	"sync"

	"github.com/bursarhq/bursar/pkg/wire"
)

// subjects remembers how subjects are taken apart: an agent asks under the same few all its life. When it is full it
// starts over, so that strangers cannot grow it.
type subjects struct {
	most int
	mu   *sync.RWMutex
	seen map[string]wire.Subject
}

func newSubjects(most int) subjects {
	return subjects{most: most, mu: &sync.RWMutex{}, seen: map[string]wire.Subject{}}
}

func (s *subjects) parse(subject string) (wire.Subject, bool) {
	s.mu.RLock()
	parts, ok := s.seen[subject]
	s.mu.RUnlock()
	if ok {
		return parts, true
	}
	parts, err := wire.ParseSubject(subject)
	if err != nil {
		return wire.Subject{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) >= s.most {
		s.seen = map[string]wire.Subject{}
	}
	s.seen[subject] = parts
	return parts, true
}
