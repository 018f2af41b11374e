package importer

import (
	"go.etcd.io/bbolt"

	"github.com/bursarhq/bursar/pkg/wire"
)

// merger turns the rows of one file into usage items: one per call, with the most that any row told of it.
type merger struct {
	tx     *bbolt.Tx
	items  []wire.UsageItem
	places map[string]int // of a call's item, by its id
	known  int            // rows that told a call again
	tokens int64          // that were not reported before
}

// add takes a row.
func (m *merger) add(r *row, item wire.UsageItem) error {
	total := r.Call.Tokens.Total()
	key := r.Call.ID
	seen, err := get[[]sighting](m.tx, bucketMessages, key)
	if err != nil {
		return err
	}
	at := retold(seen, r)
	if at < 0 {
		id, err := m.newID(r)
		if err != nil {
			return err
		}
		seen = append(seen, sighting{Request: r.Request, Sidechain: r.Sidechain, ID: id, Total: -1})
		at = len(seen) - 1
	} else {
		m.known++
	}
	s := &seen[at]
	if total <= s.Total {
		return nil
	}
	m.tokens += total - max(0, s.Total)
	s.Total = total
	item.CallID = wire.Clip(s.ID, wire.MaxTextBytes)
	if place, ok := m.places[s.ID]; ok {
		m.items[place] = item
	} else {
		m.places[s.ID] = len(m.items)
		m.items = append(m.items, item)
	}
	return put(m.tx, bucketMessages, key, seen)
}

// retold finds what a row tells again: the same message under the same request id, or under another one where either is
// of a side conversation, which replays the main one.
func retold(seen []sighting, r *row) int {
	for i, s := range seen {
		if s.Request == r.Request {
			return i
		}
	}
	for i, s := range seen {
		if s.Sidechain || r.Sidechain {
			return i
		}
	}
	return -1
}

// newID gives a call the id under which it is reported: the provider's request id, which other sources of the same call
// tell too; the message's id where there is none, and both where the request id stands for another message already.
func (m *merger) newID(r *row) (string, error) {
	if r.known || r.Request == "" {
		return r.Call.ID, nil
	}
	first, err := get[string](m.tx, bucketRequests, r.Request)
	switch {
	case err != nil:
		return "", err
	case first == r.Call.ID:
		return r.Request, nil
	case first != "":
		return r.Request + "/" + r.Call.ID, nil
	}
	return r.Request, put(m.tx, bucketRequests, r.Request, r.Call.ID)
}
