package attacktest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Ownership attacks what belongs to another principal by its id, which may have leaked: it sends again
// what the victim sent, and acts on the victim's reservation. It needs a system that decides, and a
// request that it grants to the principals of the suite (see [Principals]).
func Ownership(t *testing.T, serve Serve, grantable wire.ReserveRequest) {
	t.Helper()
	a := newArena(t)
	serve(t, a.system)
	a.barrier(t)
	thief := a.system.Connect(t, mallory)

	wire.SetRequestID(&grantable, newRequestID(t))
	victims := call(t, a.victim, victimName, &grantable)
	var granted wire.ReservationReply
	if err := json.Unmarshal(victims, &granted); err != nil || granted.ReservationID == "" {
		t.Fatalf("the victim's request is not granted: %s", victims)
	}
	var replay wire.ReservationReply
	if err := json.Unmarshal(call(t, thief, "mallory", &grantable), &replay); err != nil || replay.ReservationID == granted.ReservationID {
		t.Errorf("the victim's request, sent by another principal, is answered with the victim's reservation")
	}
	for _, r := range onReservation(t, granted.ReservationID) {
		reply := call(t, thief, "mallory", r)
		var refusal wire.ErrorReply
		if err := json.Unmarshal(reply, &refusal); err != nil || refusal.Error.Code != quota.CodeAllocationNotFound {
			t.Errorf("%s of another principal's reservation: %s, want %s", r.Verb(), reply, quota.CodeAllocationNotFound)
		}
	}
	for _, verb := range []string{wire.VerbStatus, wire.VerbList} {
		if reply := call(t, thief, "mallory", wire.NewRequest(wire.KindAgent, verb)); strings.Contains(string(reply), granted.ReservationID) {
			t.Errorf("%s shows another principal's reservation", verb)
		}
	}
	if again := call(t, a.victim, victimName, &grantable); string(again) != string(victims) {
		t.Errorf("the victim's answer changed from\n%s to\n%s", victims, again)
	}
}

// Principals returns the names of the principals of the suite's workspace, for a configuration that
// grants them something.
func Principals() []string {
	return []string{victimName, mallory.Principal, "bystander", oscar.Principal}
}

// Workspace is the workspace that the suite wants served.
const Workspace = natsauth.DefaultWorkspace

func onReservation(t testing.TB, id string) []wire.Request {
	t.Helper()
	requests := []wire.Mutation{
		&wire.ReportRequest{ReservationID: id, Usage: []wire.UsageItem{{CallID: "c1", Tokens: wire.Tokens{Output: 1}}}},
		&wire.ExtendRequest{ReservationID: id, TTLMS: 1000},
		&wire.SettleRequest{ReservationID: id},
		&wire.ReleaseRequest{ReservationID: id},
	}
	out := make([]wire.Request, len(requests))
	for i, r := range requests {
		wire.SetRequestID(r, newRequestID(t))
		out[i] = r
	}
	return out
}

func newRequestID(t testing.TB) string {
	t.Helper()
	id, err := wire.NewRequestID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func call(t testing.TB, nc *nats.Conn, principal string, r wire.Request) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reply, err := nc.RequestWithContext(ctx, subjectOf(workspace, wire.KindAgent, principal, "w", r.Verb()), r.Append(nil))
	if err != nil {
		t.Fatalf("%s: %v", r.Verb(), err)
	}
	return reply.Data
}
