package cli

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/schemas"
)

// Every kind of event is worded: who it is about and what happened, not its id alone.
func TestEveryEventIsWorded(t *testing.T) {
	t.Parallel()
	for _, kind := range wire.EventKinds() {
		body, err := schemas.FS.ReadFile(path.Join("v1/examples/event."+kind, "valid/full.json"))
		if err != nil {
			t.Fatalf("%s has no example: %v", kind, err)
		}
		event, err := wire.DecodeEvent(body)
		if err != nil {
			t.Fatal(err)
		}
		if _, text := describe(&event); text == "" || text == event.Subject || strings.TrimSpace(text) != text {
			t.Errorf("%s is worded %q", kind, text)
		}
		if head := headline(&event); head == "" || len(head) > headlineWidth {
			t.Errorf("%s has the headline %q, at most %d letters fit", kind, head, headlineWidth)
		}
	}
}

// What happens in the queue, and limits in money, as a person reads them.
func TestWordsOfEvents(t *testing.T) {
	t.Parallel()
	const labels = `"labels":{"agent":"builder-1","team":"core","priority":"normal"}`
	for _, tt := range []struct{ kind, data, headline, text string }{
		{"reservation.queued", `{` + labels + `,"queue":{"position":2},"amount":{"tokens":{"output":50000}},"waits_for":[{"limit_id":"max/session"}]}`,
			"queued", "builder-1 (core): place 2, 50k for max/session"},
		{"reservation.dequeued", `{` + labels + `,"outcome":"timed_out","waited_ms":61000}`, "timed out", "builder-1 (core): after 1m 1s in the queue"},
		{"reservation.dequeued", `{` + labels + `,"outcome":"refused","waited_ms":1000,"reason":"no account"}`, "refused", "builder-1 (core): after 1s in the queue: no account"},
		{"notices.acknowledged", `{"by":{"principal":"ci","agent":"builder-1"}}`, "seen", "builder-1 has seen its notices"},
		{"limit.warning", `{"limit_id":"api/month","threshold_percent":90,"spent":360000000,"capacity":400000000,"unit":"micro_usd"}`,
			"warning", "api/month is at 90%: $360.00 of $400.00 spent"},
		{"reservation.denied", `{` + labels + `,"code":"insufficient_quota","limit_id":"api/month","requested":2500,"available":40,"unit":"micro_usd","retryable":false}`,
			"denied", "builder-1 (core): insufficient quota, api/month has $0.00004 of $0.0025, for good"},
		{"observation.recorded", `{"account":"max","limit_id":"max/session","observation":{"used_percent":42.5,"source":"statusline"},"effective":true}`,
			"observed", "max/session is at 42.5%, says statusline"},
		{"observation.recorded", `{"account":"max","limit_id":"","observation":{"signal":"exhausted","source":"headers"},"effective":true}`,
			"observed", "max is refused by the provider (429), says headers"},
		{"observation.recorded", `{"account":"max","limit_id":"","window":"7d","observation":{"signal":"overloaded"},"effective":true}`,
			"observed", "max/7d is overloaded (529)"},
	} {
		event, err := wire.DecodeEvent(fmt.Appendf(nil, `{"specversion":"1.0","id":"l.1.0","source":"/workspaces/w","type":"io.bursar.quota.v1.%s",`+
			`"time":"2026-03-01T09:30:00.000Z","datacontenttype":"application/json","ledgerid":"3b1f0c9a5d7e42c68a90d1e2f3a4b5c6","commit":"1","index":0,"data":%s}`, tt.kind, tt.data))
		if err != nil {
			t.Fatal(err)
		}
		if _, text := describe(&event); text != tt.text {
			t.Errorf("%s is worded %q, want %q", tt.kind, text, tt.text)
		}
		if head := headline(&event); head != tt.headline {
			t.Errorf("%s has the headline %q, want %q", tt.kind, head, tt.headline)
		}
	}
}

// Those that wait for the same stand together, in the order of their places.
func TestQueueIsShownByWhatIsWaitedFor(t *testing.T) {
	t.Parallel()
	at := func(agent, limit string, place int64) wire.WaitingView {
		return wire.WaitingView{Agent: agent, Queue: wire.QueuePlace{Position: place}, WaitsFor: []wire.WaitsFor{{LimitID: limit}}}
	}
	var got []string
	for _, w := range byWhatFor([]wire.WaitingView{at("a", "x", 1), at("b", "y", 1), at("c", "x", 3), at("d", "y", 2), at("e", "x", 2)}) {
		got = append(got, w.Agent)
	}
	if text := strings.Join(got, " "); text != "a e c b d" {
		t.Errorf("in the order %s", text)
	}
}
