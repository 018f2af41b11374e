package front

import (
	"encoding/json"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Hurry tells agents that a notice waits for them. The notice itself is ledger state and comes with their next reply;
// a message that gets lost costs nothing but time.
func (f *Front) Hurry(c *ledger.Commit) {
	for _, e := range c.Events {
		switch e := e.(type) {
		case *quota.ReservationGranted:
			if e.QueuedAt != 0 {
				f.hurry(&e.Labels, wire.Notice{Kind: string(quota.NoticeGranted), ReservationID: e.Reservation, At: wire.TimeOf(e.At), ExpiresAt: wire.TimeOf(e.Expires)})
			}
		case *quota.ReservationDequeued:
			f.hurryWaiting(e)
		case *quota.ReservationExpiring:
			f.hurry(&e.Labels, wire.Notice{Kind: string(quota.NoticeExpiring), ReservationID: e.Reservation, At: wire.TimeOf(e.At), ExpiresAt: wire.TimeOf(e.Expires)})
		case *quota.ReservationPreempting:
			f.hurry(&e.Labels, wire.PreemptingNotice(e))
		case *quota.ReservationShrunk:
			f.hurry(&e.Labels, wire.ShrunkNotice(e))
		case *quota.ReservationClosed:
			switch e.Outcome {
			case quota.OutcomeExpired:
				f.hurry(&e.Labels, wire.Notice{Kind: string(quota.NoticeExpired), ReservationID: e.Reservation, At: wire.TimeOf(e.At)})
			case quota.OutcomePreempted:
				f.hurry(&e.Labels, wire.Notice{Kind: string(quota.NoticePreempted), ReservationID: e.Reservation, At: wire.TimeOf(e.At)})
			case quota.OutcomeRevoked:
				f.hurry(&e.Labels, wire.Notice{Kind: string(quota.NoticeRevoked), ReservationID: e.Reservation, At: wire.TimeOf(e.At), Reason: e.Reason})
			}
		}
	}
}

func (f *Front) hurry(to *quota.Labels, n wire.Notice) {
	subject, err := wire.NoticeSubject(f.opt.Workspace, to.Principal, to.Agent)
	if err != nil {
		return
	}
	body, err := json.Marshal(n)
	if err != nil {
		f.opt.Log.Error("encode notice", "error", err)
		return
	}
	if err := f.opt.Conn.Publish(subject, body); err != nil {
		f.opt.Log.Debug("notice not sent", "error", err)
	}
}
