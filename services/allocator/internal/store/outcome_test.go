package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/pkg/writer"
)

// provisioned gives JetStream on a server that has the streams.
func provisioned(t *testing.T) jetstream.JetStream {
	t.Helper()
	return provisionedWith(t, 64<<20)
}

func provisionedWith(t *testing.T, ledgerBytes int64) jetstream.JetStream {
	t.Helper()
	js, err := NewJetStream(natstest.Connect(t, natstest.Start(t)))
	if err != nil {
		t.Fatal(err)
	}
	sizes := provision.Defaults()
	sizes.LedgerMaxBytes, sizes.KeyframesMaxBytes, sizes.SuggestionsMaxBytes, sizes.EventsMaxBytes = ledgerBytes, 64<<20, 64<<20, 64<<20
	if err := provision.Ensure(t.Context(), js, sizes, nil); err != nil {
		t.Fatal(err)
	}
	return js
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	refusal := func(code jetstream.ErrorCode, description string) error {
		return &jetstream.APIError{ErrorCode: code, Description: description}
	}
	tests := []struct {
		name string
		err  error
		want writer.Verdict
	}{
		{"wrong last sequence", refusal(10071, "wrong last sequence: 7"), writer.Conflict},
		{"another write in flight", refusal(10164, "wrong last sequence"), writer.InFlight},
		{"duplicate in process", refusal(10158, "duplicate message id is in process"), writer.InFlight},
		{"store failed", refusal(10077, "some disk trouble"), writer.Unknown},
		{"full", refusal(10077, "maximum bytes exceeded"), writer.Full},
		{"insufficient resources", refusal(10023, "insufficient resources"), writer.Unknown},
		{"no quorum", refusal(10008, "JetStream system temporarily unavailable"), writer.Unknown},
		{"no peers", refusal(10009, "no suitable peers"), writer.Unknown},
		{"an unheard-of code", refusal(19999, "?"), writer.Unknown},
		{"no responders", nats.ErrNoResponders, writer.Unknown},
		{"no stream response", jetstream.ErrNoStreamResponse, writer.Unknown},
		{"timeout", context.DeadlineExceeded, writer.Unknown},
		{"disconnected", nats.ErrDisconnected, writer.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := verdictOf(errors.Join(errors.New("publish"), tt.err)); got != tt.want {
				t.Errorf("verdict %d, want %d", got, tt.want)
			}
		})
	}
}

// What the server itself says of a full bucket is read as full.
func TestAFullBucket(t *testing.T) {
	t.Parallel()
	js := provisionedWith(t, 2<<20)
	log, err := OpenLog(t.Context(), js, "acme", nil)
	if err != nil {
		t.Fatal(err)
	}
	data, last := make([]byte, 400<<10), uint64(0)
	for range 20 {
		switch o := log.Publish(t.Context(), data, last); o.Verdict {
		case writer.Acked:
			last = o.Revision
		case writer.Full:
			return
		default:
			t.Fatalf("%+v", o)
		}
	}
	t.Fatal("the bucket never got full")
}

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js, err := NewJetStream(natstest.Connect(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	if err := provision.Ensure(t.Context(), js, provision.Config{
		Replicas: 1, LedgerMaxBytes: 8 << 20, KeyframesMaxBytes: 8 << 20, LeaseMaxBytes: 8 << 20, SuggestionsMaxBytes: 8 << 20,
		EstimatesMaxBytes: 8 << 20, EventsMaxBytes: 8 << 20, EventsMaxAge: time.Hour, EventsDuplicates: time.Minute,
	}, nil); err != nil {
		t.Fatal(err)
	}
	log, err := OpenLog(t.Context(), js, "acme", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), wire.StreamLedger); err != nil {
		t.Fatal(err)
	}
	if o := log.Publish(t.Context(), []byte("x"), 0); o.Verdict != writer.Unknown || o.Err == nil {
		t.Errorf("a store that is not there: %+v", o)
	}
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if o := log.Publish(t.Context(), []byte("x"), 0); o.Verdict != writer.Unknown || o.Err == nil {
		t.Errorf("a server that is gone: %+v", o)
	}
	if took := time.Since(began); took > 3*PublishTimeout {
		t.Errorf("it took %s to know that nothing is known", took)
	}
}

// A failpoint between the acknowledgement and its reader loses it, and leaves the commit stored.
func TestLostAcknowledgements(t *testing.T) {
	t.Parallel()
	for spec, stored := range map[string]bool{"before-publish=error(no)": false, "after-ack=error(no)": true} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			log, err := OpenLog(t.Context(), provisioned(t), "acme", points(t, spec))
			if err != nil {
				t.Fatal(err)
			}
			if o := log.Publish(t.Context(), []byte("x"), 0); o.Verdict != writer.Unknown {
				t.Errorf("%+v", o)
			}
			entries, err := log.After(t.Context(), 0, 10)
			if err != nil || (len(entries) == 1) != stored {
				t.Errorf("%d entries, %v", len(entries), err)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"10071":         &jetstream.APIError{ErrorCode: 10071},
		"no_responders": fmt.Errorf("publish: %w", nats.ErrNoResponders),
		"timeout":       context.DeadlineExceeded,
		"disconnected":  nats.ErrDisconnected,
		"other":         errors.New("what nobody has heard of"),
	} {
		if got := ReasonOf(err); got != want {
			t.Errorf("%v counts as %q, want %q", err, got, want)
		}
	}
}
