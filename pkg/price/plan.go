package price

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
)

//go:embed plans.csv
var plansCSV []byte

// Plan is a subscription and its price.
type Plan struct {
	Provider string
	Tier     string
	Month    int64 // micro-USD a month
}

// Plans lists the subscription plans whose price is known, by provider and then from the cheapest up. An error means that
// the program was built from a faulty plans.csv.
func Plans() ([]Plan, error) {
	var plans []Plan
	err := readRows(bytes.NewReader(plansCSV), []string{"provider", "tier", "month"}, func(row []string) error {
		month, err := strconv.ParseInt(row[2], 10, 64)
		if err != nil || month <= 0 {
			return fmt.Errorf("month is %q, must be a whole number above 0", row[2])
		}
		if n := len(plans); n > 0 && plans[n-1].Provider == row[0] && plans[n-1].Month >= month {
			return errors.New("plans of a provider must be listed from the cheapest up")
		}
		plans = append(plans, Plan{row[0], row[1], month})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read built-in plans: %w", err)
	}
	return plans, nil
}
