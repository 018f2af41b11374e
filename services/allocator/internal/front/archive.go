package front

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Bounds of a look into the log.
const (
	archiveTimeout = 10 * time.Second
	archiveAtOnce  = 2
	// archiveSlack is how far the clock that made a reservation's id may be from the one that stored its grant.
	archiveSlack = 15 * time.Second
)

// History reads the kept log.
type History interface {
	// Before gives a revision after which every commit stored at or after an instant lies.
	Before(ctx context.Context, at time.Time) (uint64, error)
	// Each gives every commit after a revision, in order, until fold fails.
	Each(ctx context.Context, revision uint64, fold func(ledger.Entry) error) error
}

// errFound ends a look into the log.
var errFound = errors.New("found")

// archive finds reservations that the state has forgotten. Their ids bear the time at which they were made, so that the
// look begins where the grant must be, and it ends at the close.
type archive struct {
	history History
	busy    chan struct{}
}

func newArchive(h History) archive { return archive{h, make(chan struct{}, archiveAtOnce)} }

// find folds the events of one reservation of an actor. What it held on each limit is not among what it tells.
func (a archive) find(ctx context.Context, id string, actor quota.Actor) (*quota.Reservation, error) {
	made, err := uuid.Parse(id)
	if err != nil || made.Version() != 7 {
		return nil, notRemembered(id)
	}
	select {
	case a.busy <- struct{}{}:
		defer func() { <-a.busy }()
	default:
		return nil, wire.Unavailable(quota.Second, "others are looking into the log; ask again in a moment")
	}
	ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	from, err := a.history.Before(ctx, wire.RequestID(made).Made().Time().Add(-archiveSlack))
	if err != nil {
		return nil, fmt.Errorf("look into the log: %w", err)
	}
	look := &look{id: id, state: quota.NewState(), until: wire.RequestID(made).Made().Add(quota.MillisOf(archiveSlack))}
	if err := a.history.Each(ctx, from, look.fold); err != nil && !errors.Is(err, errFound) {
		return nil, fmt.Errorf("look into the log: %w", err)
	}
	r, ok := look.state.Reservation(id, actor)
	if !ok {
		return nil, notRemembered(id)
	}
	return &r, nil
}

func notRemembered(id string) error {
	return wire.NewError(quota.CodeAllocationNotFound, "no reservation %q of this agent is in the kept log; a wait that ended without a grant leaves none, and notices tell of it", id)
}

// look folds what concerns one reservation.
type look struct {
	id    string
	state *quota.State
	until quota.Instant // the grant cannot be later
}

func (k *look) fold(entry ledger.Entry) error {
	c, err := ledger.Decode(entry.Data)
	if err != nil {
		return err
	}
	granted := k.state.Totals().Granted > 0
	if !granted && c.At > k.until {
		return errFound
	}
	for _, e := range c.Events {
		if concernsReservation(e, k.id, granted) {
			quota.Apply(k.state, e)
			granted = true
		}
	}
	if granted && k.state.Live() == 0 {
		return errFound
	}
	return nil
}

// concernsReservation tells whether an event changes a reservation; before its grant nothing does.
func concernsReservation(e quota.Event, id string, granted bool) bool {
	switch e := e.(type) {
	case *quota.ReservationGranted:
		return e.Reservation == id
	case *quota.ReservationExtended:
		return granted && e.Reservation == id
	case *quota.ReservationRenewed:
		return granted && e.Reservation == id
	case *quota.ReservationClosed:
		return granted && e.Reservation == id
	case *quota.UsageRecorded:
		return granted && e.Reservation == id
	default:
		return false
	}
}
