package allocator

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// Replies that are ready at the same time come in one message to who asked for that, each with its number; refusals and
// replies to who did not ask come by themselves. Every request is answered once.
func TestRepliesComeTogether(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	start(t, serviceConfig(t, s, nil))
	nc := s.Conn(natsauth.Agent(site.Workspace, "ann"))
	inbox := wire.ManyInbox(nc.NewInbox())
	replies, err := nc.SubscribeSync(inbox + "*")
	if err != nil {
		t.Fatal(err)
	}
	single, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client("ann").Agent("a1").Status(t.Context(), wire.StatusRequest{}); err != nil {
		t.Fatal(err) // it serves
	}
	const asked, refused, rounds = 40, "7", 50
	together := 0
	for round := 0; together == 0; round++ {
		if round == rounds {
			t.Fatalf("in %d rounds of %d requests no two replies came together", rounds, asked)
		}
		for i := 1; i <= asked; i++ {
			request := reserveRequest(1)
			if strconv.Itoa(i) == refused {
				request = reserveRequest(200_000)
			}
			publishReserve(t, nc, request, inbox+strconv.Itoa(i))
		}
		publishReserve(t, nc, reserveRequest(1), single.Subject)
		together = collect(t, replies, inbox, asked, refused)
		if msg, err := single.NextMsg(30 * time.Second); err != nil || !granted(msg.Data) {
			t.Fatalf("who did not ask for several got %v, %v", msg, err)
		}
	}
}

func publishReserve(t *testing.T, nc *nats.Conn, r wire.ReserveRequest, reply string) {
	t.Helper()
	var err error
	if r.RequestID, err = wire.NewRequestID(); err != nil {
		t.Fatal(err)
	}
	subject, err := wire.AgentSubject(site.Workspace, "ann", "a1", wire.VerbReserve)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest(subject, reply, r.Append(nil)); err != nil {
		t.Fatal(err)
	}
}

// collect takes the replies to so many requests, one of which is refused, and gives how many came in company.
func collect(t *testing.T, replies *nats.Subscription, inbox string, asked int, refused string) (together int) {
	t.Helper()
	seen := map[string]bool{}
	see := func(number string, body []byte) {
		if seen[number] || granted(body) == (number == refused) {
			t.Fatalf("request %s was answered before: %v; now %s", number, seen[number], body)
		}
		seen[number] = true
	}
	for len(seen) < asked {
		msg, err := replies.NextMsg(30 * time.Second)
		if err != nil {
			t.Fatalf("%d of %d are answered: %v", len(seen), asked, err)
		}
		if !wire.IsMany(msg.Subject, inbox) {
			see(strings.TrimPrefix(msg.Subject, inbox), msg.Data)
			continue
		}
		wire.EachMany(msg.Data, func(number, body []byte) {
			together++
			if string(number) == refused {
				t.Errorf("a refusal came with others: %s", body)
			}
			see(string(number), body)
		})
	}
	return together
}

func granted(body []byte) bool {
	var reply struct {
		ReservationID string `json:"reservation_id"`
	}
	return json.Unmarshal(body, &reply) == nil && reply.ReservationID != ""
}
