package simulate

import (
	"math"

	"github.com/bursarhq/bursar/pkg/quota"
)

// A predicted grant is judged twice: as the reply to the reserve said it, and, of one wait in a few, as it stood at half of the
// wait, by when an agent that asks has learned more. Both errors are shares of the whole wait. Most of the time of a simulation
// would go into the second if every agent asked.

const (
	// leastWait is the shortest wait whose prediction is judged.
	leastWait = quota.Minute
	// asksOneIn is of how many that wait one asks for its place again and again, each time after asksAgain of the time that it
	// has waited.
	asksOneIn    = 4
	asksAgain    = 0.15
	asksAtFirst  = quota.Minute / 4
	mostInterval = 15 * quota.Minute
)

// prediction is what was said of a grant at a time.
type prediction struct {
	at           quota.Instant
	from, of, to quota.Instant
}

// judged are the errors of predictions, as shares of the wait.
type judged struct {
	errors  []float64
	covered int // intervals that the grant was in
	unknown int // waits of which nothing was said
}

func (j *judged) add(p *prediction, since, granted quota.Instant) {
	if p.of == 0 {
		j.unknown++
		return
	}
	j.errors = append(j.errors, math.Abs(float64(granted.Sub(p.of)))/float64(granted.Sub(since)))
	if p.from <= granted && granted <= p.to {
		j.covered++
	}
}

// predicted notes what the reply says of a run's grant.
func (e *engine) predicted(r *run, p *quota.Place) {
	r.predictions, r.asksAgain = nil, e.measure.heads.queued%asksOneIn == 0 && !e.silent
	e.predict(r, p)
}

// predict notes what is said of a run's grant, and has those ask again that do.
func (e *engine) predict(r *run, p *quota.Place) {
	r.predictions = append(r.predictions, prediction{e.now, p.GrantFrom, p.GrantAt, p.GrantTo})
	if !r.asksAgain {
		return
	}
	waited := e.now.Sub(r.waitedSince)
	e.plan(r, min(mostInterval, max(asksAtFirst, quota.Millis(asksAgain*float64(waited)))), (*engine).lookAtPlace)
}

func (e *engine) lookAtPlace(r *run) {
	if p := e.state.Place(r.reservation, e.now); p != nil {
		e.predict(r, p)
	}
}

// predictedGrant judges what was said of a grant.
func (m *measure) predictedGrant(r *run, at quota.Instant) {
	since := r.waitedSince
	if at.Sub(since) < leastWait || len(r.predictions) == 0 {
		return
	}
	m.first.add(&r.predictions[0], r.predictions[0].at, at)
	if !r.asksAgain {
		return
	}
	standing := &r.predictions[0]
	for i := range r.predictions {
		if p := &r.predictions[i]; p.at <= since.Add(at.Sub(since)/2) {
			standing = p
		}
	}
	m.half.add(standing, since, at)
}
