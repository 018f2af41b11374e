package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Time is a point of time. On the wire it is RFC 3339 text in UTC with milliseconds, 2026-03-01T09:30:00.000Z; read is
// any RFC 3339 offset and fraction, and what is finer than a millisecond is cut off. The zero Time is left out.
type Time quota.Instant

// TimeOf converts a ledger instant.
func TimeOf(i quota.Instant) Time { return Time(i) }

// Instant converts to ledger time.
func (t Time) Instant() quota.Instant { return quota.Instant(t) }

// Time converts to a time.Time in UTC; the zero Time becomes the zero time.Time.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return quota.Instant(t).Time()
}

// String gives the text on the wire, without quotes.
func (t Time) String() string {
	if t == 0 {
		return ""
	}
	return quota.Instant(t).Time().Format(timeLayout)
}

const timeLayout = "2006-01-02T15:04:05.000Z"

func (t Time) append(b []byte) []byte {
	b = append(b, '"')
	b = appendTime(b, t)
	return append(b, '"')
}

// MarshalJSON writes the RFC 3339 text.
func (t Time) MarshalJSON() ([]byte, error) { return t.append(nil), nil }

// UnmarshalJSON reads RFC 3339 text.
func (t *Time) UnmarshalJSON(data []byte) error {
	if len(data) < 2 || data[0] != '"' {
		return fmt.Errorf("a time must be text such as %s", timeExample)
	}
	parsed, err := parseTime(data[1 : len(data)-1])
	if err == nil {
		*t = parsed
	}
	return err
}

const timeExample = "2026-03-01T09:30:00.000Z"

// Times outside these years are mistakes: 1970 itself is the usual sign of a missing value.
const (
	firstYear = 1971
	lastYear  = 9999
)

func parseTime(raw []byte) (Time, error) {
	if t, ok := parseOwnTime(raw); ok {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, string(raw))
	if err != nil || t.UTC().Year() < firstYear || t.UTC().Year() > lastYear {
		return 0, fmt.Errorf("must be an RFC 3339 time of the years %d to %d such as %s", firstYear, lastYear, timeExample)
	}
	return TimeOf(quota.InstantOf(t)), nil
}

// Percent is a percentage in thousandths: 42.5 % is 42500. On the wire it is a number, written with at most three
// decimals; further ones are rounded when it is read.
type Percent int64

// MaxPercent is the largest percentage accepted: 1000 %. Providers tell more than 100 when a plan is overdrawn.
const MaxPercent Percent = 1_000_000

// MarshalJSON writes a number with up to three decimals.
func (p Percent) MarshalJSON() ([]byte, error) { return appendThousandths(nil, int64(p)), nil }

// UnmarshalJSON reads a number.
func (p *Percent) UnmarshalJSON(data []byte) error {
	n, ok := parseThousandths(data)
	if !ok {
		return fmt.Errorf("a percentage must be a number such as 42.5, not %q", data)
	}
	*p = Percent(n)
	return nil
}

// String gives the number as it stands on the wire.
func (p Percent) String() string { return string(appendThousandths(nil, int64(p))) }

func appendThousandths(b []byte, n int64) []byte {
	if n < 0 {
		b = append(b, '-')
		n = -n
	}
	b = strconv.AppendInt(b, n/1000, 10)
	rest := n % 1000
	if rest == 0 {
		return b
	}
	b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// parseThousandths reads any JSON number and rounds it to thousandths, half away from zero.
func parseThousandths(raw []byte) (n int64, ok bool) {
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.Abs(f) > maxInteger/thousand || !json.Valid(raw) {
		return 0, false
	}
	return int64(math.Round(f * thousand)), true
}

const thousand = 1000

// Tokens counts tokens by class. The classes do not overlap: input is what was neither read from a cache nor written
// to one. A provider that counts cached tokens as input (OpenAI) is to be normalised before.
type Tokens struct {
	Input        int64 `json:"input,omitzero"`
	CacheRead    int64 `json:"cache_read,omitzero"`
	CacheWrite5m int64 `json:"cache_write_5m,omitzero"`
	CacheWrite1h int64 `json:"cache_write_1h,omitzero"`
	Output       int64 `json:"output,omitzero"`
}

// Total is the sum of all classes.
func (t Tokens) Total() int64 { return quota.Tokens(t).Total() }

var tokensObject = object[Tokens]{
	integer("input", 0, quota.MaxTokensPerClass, func(t *Tokens) *int64 { return &t.Input }),
	integer("cache_read", 0, quota.MaxTokensPerClass, func(t *Tokens) *int64 { return &t.CacheRead }),
	integer("cache_write_5m", 0, quota.MaxTokensPerClass, func(t *Tokens) *int64 { return &t.CacheWrite5m }),
	integer("cache_write_1h", 0, quota.MaxTokensPerClass, func(t *Tokens) *int64 { return &t.CacheWrite1h }),
	integer("output", 0, quota.MaxTokensPerClass, func(t *Tokens) *int64 { return &t.Output }),
}

// Amount is a number of tokens by class and of provider requests.
type Amount struct {
	Tokens   Tokens `json:"tokens,omitzero"`
	Requests int64  `json:"requests,omitzero"`
}

func amountOf(a quota.Amount) Amount { return Amount{Tokens(a.Tokens), a.Requests} }

// amountObject reads what a server sent: sums, which may exceed the bounds of one request.
var amountObject = object[Amount]{
	nested("tokens", sumsObject, func(a *Amount) *Tokens { return &a.Tokens }),
	integer("requests", -maxInteger, maxInteger, func(a *Amount) *int64 { return &a.Requests }),
}

var sumsObject = object[Tokens]{
	integer("input", -maxInteger, maxInteger, func(t *Tokens) *int64 { return &t.Input }),
	integer("cache_read", -maxInteger, maxInteger, func(t *Tokens) *int64 { return &t.CacheRead }),
	integer("cache_write_5m", -maxInteger, maxInteger, func(t *Tokens) *int64 { return &t.CacheWrite5m }),
	integer("cache_write_1h", -maxInteger, maxInteger, func(t *Tokens) *int64 { return &t.CacheWrite1h }),
	integer("output", -maxInteger, maxInteger, func(t *Tokens) *int64 { return &t.Output }),
}

// Notice is something an agent must learn. It comes with every reply until a request acknowledges it. A notice is also the
// body of a message on a notice subject: a hurry-up without an id, which may get lost and come twice.
type Notice struct {
	ID            uint64 `json:"id,omitzero"`
	Kind          string `json:"kind"` // expiring, expired, preempting, shrunk, preempted or revoked; readers ignore kinds they do not know
	ReservationID string `json:"reservation_id,omitzero"`
	At            Time   `json:"at,omitzero"`
	ExpiresAt     Time   `json:"expires_at,omitzero"`
	Reason        string `json:"reason,omitzero"`
	// Amount is what a reservation that goes on gives back at ExpiresAt (preempting), or has given back (shrunk).
	Amount *Amount `json:"amount,omitzero"`
}

var noticeObject = object[Notice]{
	counter("id", func(n *Notice) *uint64 { return &n.ID }),
	must(name("kind", MaxNameBytes, func(n *Notice) *string { return &n.Kind })),
	name("reservation_id", MaxTextBytes, func(n *Notice) *string { return &n.ReservationID }),
	instant("at", func(n *Notice) *Time { return &n.At }),
	instant("expires_at", func(n *Notice) *Time { return &n.ExpiresAt }),
	text("reason", MaxTextBytes, func(n *Notice) *string { return &n.Reason }),
	pointer("amount", amountObject, func(n *Notice) **Amount { return &n.Amount }),
}

// NoticesOf converts the pending notices of an agent.
func NoticesOf(pending []quota.Notice) []Notice {
	if len(pending) == 0 {
		return nil
	}
	notices := make([]Notice, len(pending))
	for i, n := range pending {
		notices[i] = Notice{
			n.ID, string(n.Kind), n.Reservation, TimeOf(n.At), TimeOf(n.Expires), n.Reason, partGiven(n.Amount != quota.Amount{}, n.Amount),
		}
	}
	return notices
}
