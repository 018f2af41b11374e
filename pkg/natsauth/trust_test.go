package natsauth_test

import (
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
)

// TestJetStreamRightsAreTrust shows why principals have no right below $JS.API: the server answers a
// request there with its own rights, wherever the request asks. Should this test fail after an update
// of the server, it checks reply subjects now, and the package comment and decision 0031 can be relaxed.
func TestJetStreamRightsAreTrust(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	commit(t, s.bucket(s.service(natsauth.RoleAllocatorStore), wire.BucketLedger), "acme", 3)
	reader := s.js(natsauth.Service(natsauth.RoleReader))
	relay := s.connect(natsauth.Service(natsauth.RoleRelay))

	// Relay may neither write nor purge the ledger, and does both by asking for its consumer's state
	// and for messages that there are none of any more.
	info := "$JS.API.CONSUMER.INFO.KV_quota_ledger.relay"
	if err := relay.PublishRequest(info, "$KV.quota_ledger.acme", nil); err != nil {
		t.Fatal(err)
	}
	wait := func(what string, commits uint64) {
		t.Helper()
		deadline := time.After(patience)
		for {
			stream, err := reader.Stream(t.Context(), wire.StreamLedger)
			if err != nil {
				t.Fatal(err)
			}
			if stream.CachedInfo().State.Msgs == commits {
				return
			}
			select {
			case <-deadline:
				t.Fatalf("%s: the ledger holds %d messages, not %d", what, stream.CachedInfo().State.Msgs, commits)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	wait("an answer aimed at the ledger", 4)
	next := "$JS.API.CONSUMER.MSG.NEXT.KV_quota_ledger.relay"
	inbox := relay.NewInbox()
	sub, err := relay.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	if err := relay.PublishRequest(next, inbox, []byte(`{"batch":4}`)); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := sub.NextMsg(patience); err != nil {
			t.Fatal(err)
		}
	}
	if err := relay.PublishRequest(next, "$JS.API.STREAM.PURGE.KV_quota_ledger", []byte(`{"no_wait":true,"batch":1}`)); err != nil {
		t.Fatal(err)
	}
	wait("an empty answer aimed at the purge", 0)
}
