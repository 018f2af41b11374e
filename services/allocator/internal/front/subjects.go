package front

import (
	"sync"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// sender is who sends under a subject, and where it may be answered.
type sender struct {
	workspace string
	actor     quota.Actor
	inbox     string // prefix
}

// senders remembers how subjects are taken apart: an agent asks under the same few all its life. When it is full it
// starts over, so that strangers cannot grow it.
type senders struct {
	most int
	mu   sync.RWMutex
	seen map[string]sender
}

func newSenders(most int) *senders { return &senders{most: most, seen: map[string]sender{}} }

// of takes a subject apart. The error says that it is not of the protocol; where only its agent is not, the sender has
// the inbox all the same: the server lets nobody send below another principal, whatever follows.
func (s *senders) of(subject string) (sender, error) {
	s.mu.RLock()
	known, ok := s.seen[subject]
	s.mu.RUnlock()
	if ok {
		return known, nil
	}
	parts, wrong := wire.ParseSubject(subject)
	if wrong != nil && parts.Principal == "" {
		return sender{}, wrong
	}
	inbox, err := wire.InboxPrefix(parts.Workspace, parts.Principal)
	if err != nil {
		return sender{}, err
	}
	made := sender{parts.Workspace, quota.Actor{Principal: parts.Principal, Agent: parts.Agent}, inbox}
	if wrong != nil {
		return made, wrong
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) >= s.most {
		s.seen = map[string]sender{}
	}
	s.seen[subject] = made
	return made, nil
}
