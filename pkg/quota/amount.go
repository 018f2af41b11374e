package quota

import (
	"errors"
	"fmt"
	"math/bits"
)

// Unit says what a limit counts.
type Unit string

// The units of limits. A concurrent window counts live reservations whatever its unit; its unit is UnitRequests by convention.
const (
	UnitTokens       Unit = "tokens"
	UnitInputTokens  Unit = "input_tokens"
	UnitOutputTokens Unit = "output_tokens"
	UnitRequests     Unit = "requests"
	UnitMicroUSD     Unit = "micro_usd"
)

// Bounds on what one command may name; beyond them a command is invalid. They keep every sum of a ledger within int64.
const (
	MaxTokensPerClass = int64(1e12)           // tokens of one class in one amount or usage item
	MaxRequests       = int64(1e9)            // requests in one amount or usage item
	MaxRate           = int64(1e10)           // micro-USD per million tokens: 10,000 USD
	MaxCapacity       = int64(1e15)           // units of a limit
	microPerMillion   = uint64(1_000_000)     // a rate is per this many tokens
	thousandths       = uint64(DefaultWeight) // a weight is in this fraction
)

// DefaultWeight is the weight of a token class that counts in full.
const DefaultWeight int64 = 1000

// Tokens counts tokens by class. Classes do not overlap: Input excludes what was read from or written to a cache
// (Anthropic's convention; OpenAI's input count, which includes cached tokens, is normalised before it gets here).
type Tokens struct {
	Input        int64 `cbor:"1,keyasint,omitempty"`
	CacheRead    int64 `cbor:"2,keyasint,omitempty"`
	CacheWrite5m int64 `cbor:"3,keyasint,omitempty"`
	CacheWrite1h int64 `cbor:"4,keyasint,omitempty"`
	Output       int64 `cbor:"5,keyasint,omitempty"`
}

// Total is the sum of all classes, unweighted.
func (t Tokens) Total() int64 {
	return t.Input + t.CacheRead + t.CacheWrite5m + t.CacheWrite1h + t.Output
}

// Add returns the sum class by class.
func (t Tokens) Add(o Tokens) Tokens {
	return Tokens{t.Input + o.Input, t.CacheRead + o.CacheRead, t.CacheWrite5m + o.CacheWrite5m, t.CacheWrite1h + o.CacheWrite1h, t.Output + o.Output}
}

// Sub returns the difference class by class.
func (t Tokens) Sub(o Tokens) Tokens {
	return Tokens{t.Input - o.Input, t.CacheRead - o.CacheRead, t.CacheWrite5m - o.CacheWrite5m, t.CacheWrite1h - o.CacheWrite1h, t.Output - o.Output}
}

// Max returns the larger of each class: what is known of a call whose cumulative usage was seen several times. A source
// that does not know for how long the cache was written tells all of it as five minutes; so of the two classes of writes
// together the larger sum counts, split as it was told first.
func (t Tokens) Max(o Tokens) Tokens {
	most := Tokens{max(t.Input, o.Input), max(t.CacheRead, o.CacheRead), max(t.CacheWrite5m, o.CacheWrite5m), max(t.CacheWrite1h, o.CacheWrite1h), max(t.Output, o.Output)}
	twice := most.cacheWrites() - max(t.cacheWrites(), o.cacheWrites())
	in5m := min(twice, most.CacheWrite5m-t.CacheWrite5m)
	most.CacheWrite5m -= in5m
	most.CacheWrite1h -= twice - in5m
	return most
}

func (t Tokens) cacheWrites() int64 { return t.CacheWrite5m + t.CacheWrite1h }

func (t Tokens) validate() error {
	for _, c := range []struct {
		name string
		n    int64
	}{{"input", t.Input}, {"cache_read", t.CacheRead}, {"cache_write_5m", t.CacheWrite5m}, {"cache_write_1h", t.CacheWrite1h}, {"output", t.Output}} {
		if c.n < 0 || c.n > MaxTokensPerClass {
			return fmt.Errorf("%s tokens are %d, must be from 0 to %d", c.name, c.n, MaxTokensPerClass)
		}
	}
	return nil
}

// Amount is what a reservation asks for or has used: tokens by class and a number of provider requests.
type Amount struct {
	Tokens   Tokens `cbor:"1,keyasint,omitempty"`
	Requests int64  `cbor:"2,keyasint,omitempty"`
}

// Add returns the sum.
func (a Amount) Add(o Amount) Amount { return Amount{a.Tokens.Add(o.Tokens), a.Requests + o.Requests} }

// Sub returns the difference.
func (a Amount) Sub(o Amount) Amount { return Amount{a.Tokens.Sub(o.Tokens), a.Requests - o.Requests} }

func (a Amount) validate() error {
	var errs []error
	if err := a.Tokens.validate(); err != nil {
		errs = append(errs, err)
	}
	if a.Requests < 0 || a.Requests > MaxRequests {
		errs = append(errs, fmt.Errorf("requests are %d, must be from 0 to %d", a.Requests, MaxRequests))
	}
	return errors.Join(errs...)
}

// part is the amount cut down to a total of tokens, class by class in proportion and rounded down, what is lost by that
// given to the largest class. Requests are cut in the same proportion and rounded up.
func (a Amount) part(tokens int64) Amount {
	total := a.Tokens.Total()
	if tokens >= total {
		return a
	}
	scale := func(n int64, up bool) int64 {
		var s sum128
		s.addProduct(n, tokens)
		if up {
			return s.divCeil(uint64(total))
		}
		return s.divFloor(uint64(total))
	}
	t := a.Tokens
	cut := Tokens{scale(t.Input, false), scale(t.CacheRead, false), scale(t.CacheWrite5m, false), scale(t.CacheWrite1h, false), scale(t.Output, false)}
	rest := tokens - cut.Total()
	for _, class := range []struct{ cut, of *int64 }{
		{&cut.Output, &t.Output}, {&cut.Input, &t.Input}, {&cut.CacheRead, &t.CacheRead}, {&cut.CacheWrite5m, &t.CacheWrite5m}, {&cut.CacheWrite1h, &t.CacheWrite1h},
	} {
		more := min(rest, *class.of-*class.cut)
		*class.cut += more
		rest -= more
	}
	return Amount{Tokens: cut, Requests: max(1, scale(a.Requests, true))}
}

// Weights says how much each token class counts against a limit, in thousandths: 1000 counts in full, 0 not at all.
type Weights struct {
	Input        int64 `cbor:"1,keyasint,omitempty"`
	CacheRead    int64 `cbor:"2,keyasint,omitempty"`
	CacheWrite5m int64 `cbor:"3,keyasint,omitempty"`
	CacheWrite1h int64 `cbor:"4,keyasint,omitempty"`
	Output       int64 `cbor:"5,keyasint,omitempty"`
}

// DefaultWeights gives the weights of a unit where a limit states none: every class in full for tokens, the input
// classes for input tokens, output for output tokens, and none for units that do not count tokens.
func DefaultWeights(u Unit) Weights {
	const w = DefaultWeight
	switch u {
	case UnitTokens:
		return Weights{w, w, w, w, w}
	case UnitInputTokens:
		return Weights{Input: w, CacheRead: w, CacheWrite5m: w, CacheWrite1h: w}
	case UnitOutputTokens:
		return Weights{Output: w}
	default:
		return Weights{}
	}
}

// weigh sums the classes by weight and rounds up, so that a part of a unit is never free.
func (w Weights) weigh(t Tokens) int64 {
	var s sum128
	s.addProduct(t.Input, w.Input)
	s.addProduct(t.CacheRead, w.CacheRead)
	s.addProduct(t.CacheWrite5m, w.CacheWrite5m)
	s.addProduct(t.CacheWrite1h, w.CacheWrite1h)
	s.addProduct(t.Output, w.Output)
	return s.divCeil(thousandths)
}

// Rate is the price of one model at one time: micro-USD per million tokens of each class.
type Rate struct {
	Input        int64 `cbor:"1,keyasint,omitempty"`
	CacheRead    int64 `cbor:"2,keyasint,omitempty"`
	CacheWrite5m int64 `cbor:"3,keyasint,omitempty"`
	CacheWrite1h int64 `cbor:"4,keyasint,omitempty"`
	Output       int64 `cbor:"5,keyasint,omitempty"`
}

// Prices looks up rates; pkg/price implements it. batch asks for the provider's batch discount. ok is false when the
// model is unknown at that instant, which is never the same as free.
type Prices interface {
	Rate(model string, at Instant, batch bool) (r Rate, ok bool)
}

func (r Rate) sum(t Tokens) (s sum128) {
	s.addProduct(t.Input, r.Input)
	s.addProduct(t.CacheRead, r.CacheRead)
	s.addProduct(t.CacheWrite5m, r.CacheWrite5m)
	s.addProduct(t.CacheWrite1h, r.CacheWrite1h)
	s.addProduct(t.Output, r.Output)
	return s
}

// CostCeil prices tokens in micro-USD, rounded up: for holds. Intermediates are 128 bits wide; within the bounds
// MaxTokensPerClass and MaxRate the result fits an int64.
func (r Rate) CostCeil(t Tokens) int64 { s := r.sum(t); return s.divCeil(microPerMillion) }

// Cost prices the tokens of one usage item in micro-USD: the classes are summed exactly and rounded once, half up.
func (r Rate) Cost(t Tokens) int64 {
	s := r.sum(t)
	s.add(microPerMillion / 2)
	return s.divFloor(microPerMillion)
}

// sum128 is an unsigned 128-bit accumulator.
type sum128 struct{ hi, lo uint64 }

func (s *sum128) add(n uint64) {
	var c uint64
	s.lo, c = bits.Add64(s.lo, n, 0)
	s.hi += c
}

// addProduct adds a·b; both are non-negative by validation.
func (s *sum128) addProduct(a, b int64) {
	if a == 0 || b == 0 {
		return
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	var c uint64
	s.lo, c = bits.Add64(s.lo, lo, 0)
	s.hi, _ = bits.Add64(s.hi, hi, c)
}

func (s *sum128) divFloor(d uint64) int64 {
	q, _ := bits.Div64(s.hi, s.lo, d)
	return int64(q)
}

func (s *sum128) divCeil(d uint64) int64 {
	s.add(d - 1)
	return s.divFloor(d)
}

// partOf is n × units / of, rounded down.
func partOf(n, units, of int64) int64 {
	var s sum128
	s.addProduct(n, units)
	return s.divFloor(uint64(of))
}

// percentOf is a part of n that is given in thousandths of a percent, rounded up.
func percentOf(n, percentMilli int64) int64 {
	var s sum128
	s.addProduct(n, percentMilli)
	return s.divCeil(100_000)
}
