package bus

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// outlet hands Watermill messages to whoever reads the channel, and waits for the verdict.
type outlet struct {
	messages chan<- *message.Message
	cfg      SubscriberConfig
	origin   origin
	handled  *int // how many parcels were acknowledged; of the subscription's goroutine alone
}

// parcel is what is handed out: the same content again after each refusal.
type parcel struct {
	// make builds the message for the given number of refusals so far.
	make func(ctx context.Context, refusals uint64) *message.Message
	// working tells the server that we still work on it; it is called every beat.
	working func()
	beat    time.Duration
}

// deliver hands a parcel out until it is acknowledged (true), or ctx ends without that (false). A
// refused parcel is handed out again, before anything else, so that order is kept.
//
// When ctx ends, a handler that already has the message keeps its own context for the close grace, so
// that a drain can finish what it began.
func (o outlet) deliver(ctx context.Context, p parcel) bool {
	beats := time.NewTicker(p.beat)
	defer beats.Stop()
	for refusals := uint64(0); ; refusals++ {
		switch o.handOut(ctx, p, refusals, beats.C) {
		case acknowledged:
			*o.handled++
			return true
		case abandoned:
			return false
		case refused:
			if !o.pause(ctx, p, beats.C) {
				return false
			}
		}
	}
}

type verdict int

const (
	abandoned verdict = iota
	acknowledged
	refused
)

func (o outlet) handOut(ctx context.Context, p parcel, refusals uint64, beats <-chan time.Time) verdict {
	msgCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	msg := p.make(msgCtx, refusals)
	for sent := false; !sent; {
		select {
		case o.messages <- msg:
			sent = true
		case <-beats:
			p.working()
		case <-ctx.Done():
			return abandoned
		}
	}
	ended := ctx.Done()
	var grace <-chan time.Time
	for {
		select {
		case <-msg.Acked():
			return acknowledged
		case <-msg.Nacked():
			return refused
		case <-beats:
			p.working()
		case <-ended:
			ended, grace = nil, time.After(o.cfg.CloseGrace)
		case <-grace:
			cancel()
			return lastWord(msg)
		}
	}
}

// lastWord gives a handler whose context has just ended a moment to say how it went.
func lastWord(msg *message.Message) verdict {
	select {
	case <-msg.Acked():
		return acknowledged
	case <-msg.Nacked():
	case <-time.After(cancelGrace):
	}
	return abandoned
}

func (o outlet) pause(ctx context.Context, p parcel, beats <-chan time.Time) bool {
	timer := time.NewTimer(o.cfg.NackDelay)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case <-beats:
			p.working()
		case <-ctx.Done():
			return false
		}
	}
}
