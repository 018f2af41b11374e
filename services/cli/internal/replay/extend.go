package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/work"
)

// holding is what an agent knows of its reservation while it works.
type holding struct {
	id            string
	granted, used int64        // tokens
	last          quota.Tokens // of the call before
	refused       bool         // an extension was refused: it goes on without, and does not ask again
}

// note takes in how the reservation stands after a call.
func (h *holding) note(r *wire.Reservation, call *work.Call) {
	if r != nil {
		h.granted, h.used = tokens(r.Granted), tokens(r.Used)
	}
	h.last = call.Tokens
}

// more is what to extend by before the next call: nothing while another call like the last one fits, and otherwise as much
// as two of them, or half of what was used where that is more, so that a long job does not ask before every call.
func (h *holding) more() quota.Tokens {
	like := h.last.Total()
	if h.refused || like == 0 || h.granted-h.used >= like {
		return quota.Tokens{}
	}
	const calls = 2
	times := max(calls, (h.used/2+like-1)/like)
	return quota.Tokens{
		Input: h.last.Input * times, CacheRead: h.last.CacheRead * times, CacheWrite5m: h.last.CacheWrite5m * times,
		CacheWrite1h: h.last.CacheWrite1h * times, Output: h.last.Output * times,
	}
}

// extend asks for more where the next call would not fit. A refusal ends the asking, not the work.
func (w *worker) extend(ctx context.Context, j *work.Job, h *holding) error {
	more := h.more()
	if j.Careless || more == (quota.Tokens{}) || ctx.Err() != nil {
		return nil
	}
	reply, err := w.agent.Extend(ctx, wire.ExtendRequest{ReservationID: h.id, Tokens: wire.Tokens(more)})
	if _, refused := errors.AsType[*wire.Error](err); refused {
		h.refused = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("extend for %s: %w", j.Agent, err)
	}
	h.granted = tokens(reply.Granted)
	w.recorder.Extended()
	return nil
}
