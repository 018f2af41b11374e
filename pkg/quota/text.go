package quota

import (
	"fmt"
	"strconv"
	"strings"
)

// How amounts are worded in messages for people. Details of a refusal keep the integers.

// Dollars writes micro-USD as dollars: to the cent, and with two significant digits below ten cents, so that what costs
// little is never shown as nothing.
func Dollars(microUSD int64) string {
	if microUSD < 0 {
		return "-" + Dollars(-max(microUSD, -MaxCapacity))
	}
	const cent, dollar = 10_000, 1_000_000
	for step := int64(cent / 10); step > 1 && microUSD < 10*cent; step /= 10 {
		if microUSD >= 10*step {
			microUSD = (microUSD + step/2) / step * step
			break
		}
	}
	if microUSD != 0 && microUSD < 10*cent {
		return "$" + strings.TrimRight(fmt.Sprintf("0.%06d", microUSD), "0")
	}
	cents := (microUSD + cent/2) / cent
	return fmt.Sprintf("$%s.%02d", thousands(cents*cent/dollar), cents%100)
}

// thousands puts a comma every three digits.
func thousands(n int64) string {
	if n < 0 {
		return "-" + thousands(-max(n, -MaxCapacity))
	}
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// number writes units of a limit without their name, where the name stands beside: money always says what it is.
func (u Unit) number(n int64) string {
	if u == UnitMicroUSD {
		return Dollars(n)
	}
	return thousands(n)
}

// amount writes units with their name.
func (u Unit) amount(n int64) string {
	if u == UnitMicroUSD {
		return Dollars(n)
	}
	return u.number(n) + " " + string(u)
}
