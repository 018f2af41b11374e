package usage

import (
	"context"
	"sync"
	"time"
)

// maxAnswers bounds the answers of a cache.
const maxAnswers = 64

// cache gives an answer again while it is fresh, and one that is being made to all who ask meanwhile. Faults are not kept.
type cache[Question comparable, Answer any] struct {
	fresh time.Duration
	now   func() time.Time

	mu      sync.Mutex
	answers map[Question]*pending[Answer]
}

// pending is an answer, or one that is being made.
type pending[Answer any] struct {
	done   chan struct{}
	at     time.Time // when it was asked for
	answer Answer
	err    error
}

// making tells whether the answer is still being made, however long that takes: asked for again meanwhile, questions would pile
// up as long as analytics is slow or away.
func (p *pending[Answer]) making() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func newCache[Question comparable, Answer any](fresh time.Duration, now func() time.Time) *cache[Question, Answer] {
	return &cache[Question, Answer]{fresh: fresh, now: now, answers: map[Question]*pending[Answer]{}}
}

// ask gives the answer to a question, which find makes where there is none that is fresh.
func (c *cache[Question, Answer]) ask(ctx context.Context, q Question, find func(context.Context) (Answer, error)) (answer Answer, err error) {
	p, mine := c.look(q)
	if mine {
		// The answer is for whoever else waits too: it is made even if this asker goes away.
		go func() {
			defer close(p.done)
			if p.answer, p.err = find(context.WithoutCancel(ctx)); p.err != nil {
				c.forget(q, p)
			}
		}()
	}
	select {
	case <-p.done:
		return p.answer, p.err
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

// look gives the answer that is fresh or being made, else a new one that is the caller's to make.
func (c *cache[Question, Answer]) look(q Question) (p *pending[Answer], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if p := c.answers[q]; p != nil && (p.making() || now.Sub(p.at) < c.fresh) {
		return p, false
	}
	if len(c.answers) >= maxAnswers {
		clear(c.answers)
	}
	p = &pending[Answer]{done: make(chan struct{}), at: now}
	c.answers[q] = p
	return p, true
}

func (c *cache[Question, Answer]) forget(q Question, p *pending[Answer]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers[q] == p {
		delete(c.answers, q)
	}
}
