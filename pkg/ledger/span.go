package ledger

// span is the answered requests of one slot of the memory.
type span struct {
	requests []remembered
	index    map[Key]uint32 // in requests; nil while there are few
	likely   int            // how many requests there may come to be
}

// fewRequests are looked through one by one: most slots of a ledger that is not busy have no more.
const fewRequests = 8

// find gives an answered request; nil where there is none.
func (s *span) find(key Key) *remembered {
	if s.index != nil {
		if i, ok := s.index[key]; ok {
			return &s.requests[i]
		}
		return nil
	}
	for i := range s.requests {
		if s.requests[i].Key == key {
			return &s.requests[i]
		}
	}
	return nil
}

func (s *span) add(r remembered) {
	if s.index == nil && len(s.requests) == fewRequests {
		s.grow()
	}
	if s.index != nil {
		s.index[r.Key] = uint32(len(s.requests))
	}
	s.requests = append(s.requests, r)
}

// grow makes room for all that may come, and the index.
func (s *span) grow() {
	s.requests = append(make([]remembered, 0, max(2*fewRequests, s.likely)), s.requests...)
	s.index = make(map[Key]uint32, cap(s.requests))
	for i := range s.requests {
		s.index[s.requests[i].Key] = uint32(i)
	}
}
