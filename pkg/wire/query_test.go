package wire

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

func TestQueryRequestsAgreeWithTheirTags(t *testing.T) {
	t.Parallel()
	scope := Scope{"7d", 1_700_000_000_000, 1_700_000_100_000, "Europe/Berlin", "claude", "max-1", "core", "a", "analysis", "m"}
	for _, r := range []Request{
		&SummaryRequest{scope}, &HistoryRequest{scope, IntervalDay, true}, &PeaksRequest{scope, 7},
		&SummaryRequest{}, &HistoryRequest{}, &PeaksRequest{}, &ForecastRequest{},
		&ForecastRequest{"Europe/Berlin", "max-1", "max-1/session", true},
	} {
		ours := r.Append(nil)
		theirs, err := json.Marshal(r)
		if err != nil || string(ours) != string(theirs) {
			t.Errorf("%T: Append gives\n%s, encoding/json\n%s (%v)", r, ours, theirs, err)
		}
		back, err := DecodeRequest(KindQuery, r.Verb(), ours)
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%T: decodes to %+v, %v", r, back, err)
		}
	}
	for _, bad := range []struct{ verb, body string }{
		{VerbSummary, `{"tieframe":"24h"}`}, {VerbHistory, `{"interval":"week"}`}, {VerbPeaks, `{"limit":0}`},
		{VerbPeaks, `{"limit":101}`}, {VerbSummary, `{"from":"yesterday"}`}, {"trend", `{}`}, {VerbForecast, `{"backtest":"yes"}`}, {VerbForecast, `{"timeframe":"7d"}`},
	} {
		if _, err := DecodeRequest(KindQuery, bad.verb, []byte(bad.body)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s %s: %v, want it refused", bad.verb, bad.body, err)
		}
	}
	for _, verb := range QueryVerbs() {
		if NewRequest(KindQuery, verb) == nil {
			t.Errorf("verb %s has no request", verb)
		}
	}
}

func TestPercentOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part, whole int64
		want        Percent
	}{{0, 0, 0}, {5, 0, 0}, {0, 5, 0}, {1, 3, 33_333}, {5, 5, 100_000}, {-1, 5, 0}, {1 << 60, 1 << 62, 25_000}, {3, 2, 150_000}} {
		if got := PercentOf(c.part, c.whole); got != c.want {
			t.Errorf("PercentOf(%d, %d) = %d, want %d", c.part, c.whole, got, c.want)
		}
	}
}
