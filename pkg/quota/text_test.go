package quota

import (
	"strings"
	"testing"
)

func TestDollars(t *testing.T) {
	t.Parallel()
	for micro, want := range map[int64]string{
		0: "$0.00", 1: "$0.000001", 48_000: "$0.048", 94_557: "$0.095", 9_449: "$0.0094", 123: "$0.00012", 99: "$0.000099", 99_999: "$0.10", 100_000: "$0.10", 1_234_567: "$1.23", 1_995_000: "$2.00",
		400_000_000: "$400.00", 1_234_567_890_000: "$1,234,567.89", -2_500_000: "-$2.50",
	} {
		if got := Dollars(micro); got != want {
			t.Errorf("%d is %s, want %s", micro, got, want)
		}
	}
}

// Large numbers can be read, in whichever unit.
func TestRefusalsTellThousands(t *testing.T) {
	t.Parallel()
	l := newLedger(t, session("s", 10_000_000))
	if r := l.reserve(500_000_000); !strings.Contains(r.Message, "has 10,000,000 of 10,000,000 tokens available, 500,000,000 were asked for") {
		t.Errorf("%q", r.Message)
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1_000: "1,000", -300: "-300", -1_234_567: "-1,234,567"} {
		if got := UnitTokens.number(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// What is refused for money is told in dollars, and the details keep the integers.
func TestRefusalsTellDollars(t *testing.T) {
	t.Parallel()
	budget := session("m", 2_000_000)
	budget.Unit, budget.HoldBack = UnitMicroUSD, &HoldBack{Percent: 50, Priority: PriorityHigh}
	l := newLedger(t, budget)
	_, small := Decide(l.state, Reserve{Actor: ann, Reservation: "r", Provider: "claude", Model: "opus-4", Amount: Amount{Tokens: Tokens{Output: 1_000}}}, Env{Now: l.now, Prices: testPrices})
	r := l.reserve(5_000_000)
	if small.Code != CodeOK || r.Code != CodeInsufficientQuota {
		t.Fatalf("%+v, %+v", small, r)
	}
	for _, want := range []string{"of $2.00 available", "$1.00 are held back", "were asked for"} {
		if !strings.Contains(r.Message, want) {
			t.Errorf("%q does not say %q", r.Message, want)
		}
	}
	if strings.Contains(r.Message, "micro_usd") || strings.Contains(r.Message, "000000") || r.Capacity != 2_000_000 || r.Requested < 1_000_000 {
		t.Errorf("%+v", r)
	}
}
