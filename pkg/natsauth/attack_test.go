package natsauth_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsauth/attacktest"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// TestAttacks attacks a stand-in that answers as the allocator does: on the front's connection, after
// the check of the reply subject, with the store's connection for what it decides. What it decides is
// of no matter here; that it decided shows in the ledger.
func TestAttacks(t *testing.T) {
	t.Parallel()
	attacktest.Run(t, func(t testing.TB, system attacktest.System) {
		t.Helper()
		horizon := quota.Instant(time.Now().Add(-24 * time.Hour).UnixMilli())
		front := system.Connect(t, natsauth.Service(natsauth.RoleAllocatorFront))
		store := system.Connect(t, natsauth.Service(natsauth.RoleAllocatorStore))
		standIn := func(msg *nats.Msg) {
			subject, err := wire.ParseSubject(msg.Subject)
			if err != nil || !wire.ReplyAllowed(subject.Workspace, subject.Principal, msg.Reply) {
				return
			}
			request, err := wire.DecodeRequest(subject.Kind, subject.Verb, msg.Data)
			if err != nil {
				_ = front.Publish(msg.Reply, wire.AppendError(nil, err, nil))
				return
			}
			if m, ok := request.(wire.Mutation); ok && m.ID().Made() < horizon {
				err = wire.NewError(quota.CodeInvalid, "request_id is too old")
				_ = front.Publish(msg.Reply, wire.AppendError(nil, err, nil))
				return
			} else if ok {
				_ = store.Publish(wire.KeySubject(wire.BucketLedger, system.Workspace), msg.Data)
				_ = store.Flush()
			}
			_ = front.Publish(msg.Reply, []byte("{}"))
		}
		for _, kind := range []wire.Kind{wire.KindAgent, wire.KindAdmin} {
			filter, err := wire.KindFilter(system.Workspace, kind)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := front.Subscribe(filter, standIn); err != nil {
				t.Fatal(err)
			}
		}
		if err := front.Flush(); err != nil {
			t.Fatal(err)
		}
	})
}
