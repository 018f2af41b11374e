package simulate

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Clients of ServeGen: two files tell, for each real client, how often it called in each ten minutes, and how large its
// calls were in each six hours. A client becomes the work of one of the configuration's principals, dealt out in turn.
const (
	clientColumn     = "client_id"
	rateColumn       = "rate_rps"
	windowColumn     = "window_start_s"
	partOfDay        = 10 * 60 // seconds: what one rate is for
	callsOfClientJob = 40      // the median: an agent reserves for a piece of work, not for a call
	spreadOfCalls    = 1.0
	callTakesMS      = 4_000
	mostTraceTokens  = 1_000_000
)

// client is one row group of the files.
type client struct {
	rates   []float64 // by part of the week
	in, out []sizes   // by part of the week

}

// sizes are the median and the mean of one class in six hours.
type sizes struct{ median, mean float64 }

// sigma is that of the log-normal with this median and mean.
func (s sizes) sigma() float64 {
	if s.median <= 0 || s.mean <= s.median {
		return 0
	}
	return math.Sqrt(2 * math.Log(s.mean/s.median))
}

// Clients reads clients from files, the order of which does not matter.
func Clients(c *quota.Config, files []string) ([]*Tenant, error) {
	known := map[string]*client{}
	for _, name := range files {
		if err := readClients(name, known); err != nil {
			return nil, fmt.Errorf("read clients: %s: %w", name, err)
		}
	}
	base := tenants(c)
	if len(base) == 0 {
		return nil, errors.New("no principal of the configuration can use an account")
	}
	var ids []string
	for id, one := range known {
		if len(one.rates) > 0 && len(one.in) > 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("the files hold no client with both rates and sizes: name the file of windows and the file of tokens")
	}
	slices.Sort(ids)
	var all []*Tenant
	for i, id := range ids {
		all = append(all, known[id].tenant(base[i%len(base)]))
		all[i].Agents = "client-" + id
	}
	return all, nil
}

// tenant makes the client's work that of a principal. Kinds keep what the table estimates by.
func (c *client) tenant(of *Tenant) *Tenant {
	t := *of
	t.Rate, t.Period = c.rates, quota.Millis(len(c.rates)*partOfDay)*quota.Second
	t.Kinds = []kind{{name: "quick_query", share: 1, calls: callsOfClientJob, spread: spreadOfCalls, cached: 1, scale: 1}}
	var sum float64
	for _, r := range c.rates {
		sum += r
	}
	t.Share = sum * (c.in[0].mean + c.out[0].mean)
	t.Size = func(random *rand.Rand) []Call {
		d := dice{random}
		part := d.IntN(len(c.in))
		calls := make([]Call, d.logNormal(callsOfClientJob, spreadOfCalls, maxCalls))
		for i := range calls {
			in, out := c.in[part], c.out[part]
			calls[i] = Call{Takes: callTakesMS, Tokens: quota.Tokens{
				Input: d.logNormal(in.median, in.sigma(), mostTraceTokens), Output: d.logNormal(out.median, out.sigma(), mostTraceTokens),
			}}
		}
		return calls
	}
	return &t
}

func readClients(name string, known map[string]*client) (err error) {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	rows := csv.NewReader(file)
	header, err := rows.Read()
	if err != nil {
		return err
	}
	column := map[string]int{}
	for i, title := range header {
		column[title] = i
	}
	read, err := readerOf(column)
	if err != nil {
		return err
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		id := row[column[clientColumn]]
		if known[id] == nil {
			known[id] = &client{}
		}
		if err := read(known[id], row); err != nil {
			line, _ := rows.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// readerOf tells by the titles what a file holds.
func readerOf(column map[string]int) (func(*client, []string) error, error) {
	has := func(titles ...string) bool {
		return !slices.ContainsFunc(titles, func(t string) bool { _, ok := column[t]; return !ok })
	}
	switch {
	case has(clientColumn, windowColumn, rateColumn):
		return func(c *client, row []string) error {
			return c.addRate(row[column[windowColumn]], row[column[rateColumn]])
		}, nil
	case has(clientColumn, "in_p50", "in_mean", "out_p50", "out_mean"):
		return func(c *client, row []string) error {
			return c.addSizes(row[column["in_p50"]], row[column["in_mean"]], row[column["out_p50"]], row[column["out_mean"]])
		}, nil
	}
	return nil, fmt.Errorf("neither the rates nor the sizes of ServeGen clients: it needs the columns %s, %s, %s, or in_p50, in_mean, out_p50, out_mean",
		clientColumn, windowColumn, rateColumn)
}

func (c *client) addRate(start, rate string) error {
	at, err := strconv.ParseFloat(start, 64)
	if err != nil || at < 0 || at > 366*86400 {
		return fmt.Errorf("%s %q is not a time of a year in seconds", windowColumn, start)
	}
	perSecond, err := strconv.ParseFloat(rate, 64)
	if err != nil || !(perSecond >= 0) || math.IsInf(perSecond, 0) {
		return fmt.Errorf("%s %q is not a rate", rateColumn, rate)
	}
	part := int(at) / partOfDay
	if part >= len(c.rates) {
		c.rates = append(c.rates, make([]float64, part+1-len(c.rates))...)
	}
	c.rates[part] = perSecond
	return nil
}

// addSizes leaves out hours in which a client made no call.
func (c *client) addSizes(texts ...string) error {
	var n [4]float64
	for i, text := range texts {
		if text == "" {
			return nil
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil || !(value >= 0) || value > mostTraceTokens {
			return fmt.Errorf("%q is not a number of tokens", text)
		}
		n[i] = max(1, value)
	}
	c.in, c.out = append(c.in, sizes{n[0], n[1]}), append(c.out, sizes{n[2], n[3]})
	return nil
}
