package wire

import "github.com/bursarhq/bursar/pkg/quota"

// EventKinds returns the kinds of all public events, those of reservations first.
func EventKinds() []string {
	return []string{
		quota.KindReservationGranted, quota.KindReservationDenied, quota.KindReservationQueued, quota.KindReservationWaiting,
		quota.KindReservationDequeued, quota.KindReservationExtended, quota.KindReservationRenewed, quota.KindReservationExpiring,
		quota.KindReservationPreempting, quota.KindReservationShrunk, quota.KindReservationClosed, quota.KindUsageRecorded, quota.KindWindowOpened,
		quota.KindWindowRolled, quota.KindLimitWarning, quota.KindObservationRecorded, quota.KindBlockPlaced, quota.KindBlockLifted,
		quota.KindNoticesAcknowledged, quota.KindConfigApplied, quota.KindEpochClaimed, KindSuggestionMade,
	}
}
