package front

import (
	"sync"

	"github.com/bursarhq/bursar/pkg/wire"
)

// bundleBytes is from what size on replies do not wait for more.
const bundleBytes = 32 << 10

// together gathers replies that are ready at the same time, for requesters that take several in one message: most of what
// a reply costs is that of a message.
type together struct {
	publish func(subject string, body []byte)

	mu      sync.Mutex
	bundles map[string]*bundle // by inbox
	spare   []*bundle
}

// bundle is the replies to one inbox.
type bundle struct {
	inbox   string
	replies int
	body    []byte
}

func newTogether(publish func(string, []byte)) *together {
	return &together{publish: publish, bundles: map[string]*bundle{}}
}

// add takes a reply that may be held back until flush; false where the requester wants each by itself.
func (t *together) add(reply string, body func([]byte) []byte) bool {
	inbox, number, ok := wire.SplitMany(reply)
	if !ok {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.bundles[inbox]
	if b == nil {
		b = t.fresh()
		t.bundles[inbox] = b
	}
	b.inbox = inbox
	b.replies++
	if b.body = wire.AppendMany(b.body, number, body); len(b.body) >= bundleBytes {
		delete(t.bundles, inbox)
		t.send(b)
	}
	return true
}

func (t *together) fresh() *bundle {
	n := len(t.spare)
	if n == 0 {
		return new(bundle)
	}
	b := t.spare[n-1]
	t.spare = t.spare[:n-1]
	return b
}

// flush sends what is held back.
func (t *together) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.bundles {
		t.send(b)
	}
	clear(t.bundles)
}

// send sends a bundle; a reply that is alone goes where any reply goes.
func (t *together) send(b *bundle) {
	if b.replies == 1 {
		wire.EachMany(b.body, func(number, body []byte) { t.publish(b.inbox+string(number), body) })
	} else {
		t.publish(wire.ManySubject(b.inbox), b.body)
	}
	*b = bundle{body: b.body[:0]}
	t.spare = append(t.spare, b)
}
