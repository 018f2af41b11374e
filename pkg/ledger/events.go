package ledger

import (
	"fmt"

	"github.com/bursarhq/bursar/pkg/quota"
)

// kindNumber identifies an event kind in the record. Numbers are never reused.
type kindNumber uint64

// number gives the kind's number in the record; false for a type that has none.
func number(e quota.Event) (kindNumber, bool) {
	switch e.(type) {
	case *quota.EpochClaimed:
		return 1, true
	case *quota.ConfigApplied:
		return 2, true
	case *quota.ReservationGranted:
		return 3, true
	case *quota.ReservationDenied:
		return 4, true
	case *quota.ReservationExtended:
		return 5, true
	case *quota.ReservationRenewed:
		return 6, true
	case *quota.ReservationExpiring:
		return 7, true
	case *quota.ReservationClosed:
		return 8, true
	case *quota.UsageRecorded:
		return 9, true
	case *quota.WindowOpened:
		return 10, true
	case *quota.WindowRolled:
		return 11, true
	case *quota.LimitWarning:
		return 12, true
	case *quota.ObservationRecorded:
		return 13, true
	case *quota.BlockPlaced:
		return 14, true
	case *quota.BlockLifted:
		return 15, true
	case *quota.NoticesAcknowledged:
		return 16, true
	case *quota.ReservationQueued:
		return 17, true
	case *quota.ReservationWaiting:
		return 18, true
	case *quota.ReservationDequeued:
		return 19, true
	case *quota.ReservationPreempting:
		return 20, true
	case *quota.ReservationShrunk:
		return 21, true
	default:
		return 0, false
	}
}

// blank makes an event of a kind to decode into.
func (n kindNumber) blank() (quota.Event, error) {
	switch n {
	case 1:
		return new(quota.EpochClaimed), nil
	case 2:
		return new(quota.ConfigApplied), nil
	case 3:
		return new(quota.ReservationGranted), nil
	case 4:
		return new(quota.ReservationDenied), nil
	case 5:
		return new(quota.ReservationExtended), nil
	case 6:
		return new(quota.ReservationRenewed), nil
	case 7:
		return new(quota.ReservationExpiring), nil
	case 8:
		return new(quota.ReservationClosed), nil
	case 9:
		return new(quota.UsageRecorded), nil
	case 10:
		return new(quota.WindowOpened), nil
	case 11:
		return new(quota.WindowRolled), nil
	case 12:
		return new(quota.LimitWarning), nil
	case 13:
		return new(quota.ObservationRecorded), nil
	case 14:
		return new(quota.BlockPlaced), nil
	case 15:
		return new(quota.BlockLifted), nil
	case 16:
		return new(quota.NoticesAcknowledged), nil
	case 17:
		return new(quota.ReservationQueued), nil
	case 18:
		return new(quota.ReservationWaiting), nil
	case 19:
		return new(quota.ReservationDequeued), nil
	case 20:
		return new(quota.ReservationPreempting), nil
	case 21:
		return new(quota.ReservationShrunk), nil
	default:
		return nil, fmt.Errorf("%w: event kind %d is not known to format %d, the newest this program reads", ErrVersion, n, formatVersion)
	}
}
