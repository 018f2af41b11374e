package simulate

import (
	"cmp"
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
	partOfDay        = 10 * 60     // seconds: what one rate is for
	partOfSizes      = 6 * 60 * 60 // seconds: what one row of sizes is for
	callsOfClientJob = 40          // the median: an agent reserves for a piece of work, not for a call
	spreadOfCalls    = 1.0
	callTakesMS      = 4_000
	mostTraceTokens  = 1_000_000
)

// client is one row group of the files.
type client struct {
	rates []float64      // by part of the week
	sizes map[int]*sizes // by six hours of the week; none where it made no call
}

// sizes are those of the calls in six hours.
type sizes struct{ in, out size }

// size is the median and the mean of one class.
type size struct{ median, mean float64 }

// sigma is that of the log-normal with this median and mean.
func (s size) sigma() float64 {
	if s.median <= 0 || s.mean <= s.median {
		return 0
	}
	return math.Sqrt(2 * math.Log(s.mean/s.median))
}

// average is the mean of that log-normal.
func (s size) average() float64 { return max(s.median, s.mean) }

// meanCalls is how many calls a client's job has in the mean.
func meanCalls() float64 {
	d := dice{rand.New(rand.NewPCG(seedOfWork, seedOfArrivals))}
	var sum float64
	for range sampleOfJobs {
		sum += float64(d.logNormal(callsOfClientJob, spreadOfCalls, maxCalls))
	}
	return sum / sampleOfJobs
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
	longest := 0
	for id, one := range known {
		if len(one.rates) > 0 && len(one.sizes) > 0 {
			ids = append(ids, id)
			longest = max(longest, len(one.rates))
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("the files hold no client with both rates and sizes: name the file of windows and the file of tokens")
	}
	slices.Sort(ids)
	calls := meanCalls()
	var all []*Tenant
	for i, id := range ids {
		all = append(all, known[id].tenant(base[i%len(base)], "client-"+id, longest, calls))
	}
	return all, nil
}

// tenant makes the client's work that of a principal, over as many parts as the files tell of: who made no call at the end
// has no row there. Kinds keep what the table estimates by.
func (c *client) tenant(of *Tenant, name string, parts int, calls float64) *Tenant {
	t := *of
	t.Agents = name
	t.Rate, t.Period = make([]float64, parts), quota.Millis(parts*partOfDay)*quota.Second
	t.Share = 0
	for i, rate := range c.rates {
		at := c.sizesAt(i * partOfDay)
		t.Rate[i] = rate
		t.Share += rate * (at.in.average() + at.out.average())
	}
	t.Kinds = []kind{{name: "quick_query", of: name, share: 1, calls: callsOfClientJob, spread: spreadOfCalls, cached: 1, scale: 1}}
	t.Uses = func(after quota.Millis) quota.Tokens {
		now := c.sizesAt(int(after / quota.Second))
		return quota.Tokens{Input: int64(calls * now.in.average()), Output: int64(calls * now.out.average())}
	}
	t.Size = func(random *rand.Rand, after quota.Millis) []Call {
		d, now := dice{random}, c.sizesAt(int(after/quota.Second))
		calls := make([]Call, d.logNormal(callsOfClientJob, spreadOfCalls, maxCalls))
		for i := range calls {
			calls[i] = Call{Takes: callTakesMS, Tokens: quota.Tokens{
				Input:  d.logNormal(now.in.median, now.in.sigma(), mostTraceTokens),
				Output: d.logNormal(now.out.median, now.out.sigma(), mostTraceTokens),
			}}
		}
		return calls
	}
	return &t
}

// sizesAt finds the sizes of calls at a second of the week: those of its six hours, else the nearest that are known.
func (c *client) sizesAt(second int) *sizes {
	part := second / partOfSizes
	for off := 0; ; off++ {
		if found := cmp.Or(c.sizes[part-off], c.sizes[part+off]); found != nil {
			return found
		}
	}
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
			known[id] = &client{sizes: map[int]*sizes{}}
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
	case has(clientColumn, windowColumn, "in_p50", "in_mean", "out_p50", "out_mean"):
		return func(c *client, row []string) error {
			return c.addSizes(row[column[windowColumn]], row[column["in_p50"]], row[column["in_mean"]], row[column["out_p50"]], row[column["out_mean"]])
		}, nil
	}
	return nil, fmt.Errorf("neither the rates nor the sizes of ServeGen clients: it needs the columns %s and %s, and %s, or in_p50, in_mean, out_p50 and out_mean",
		clientColumn, windowColumn, rateColumn)
}

func (c *client) addRate(start, rate string) error {
	at, err := secondOf(start)
	if err != nil {
		return err
	}
	perSecond, err := strconv.ParseFloat(rate, 64)
	if err != nil || !(perSecond >= 0) || math.IsInf(perSecond, 0) {
		return fmt.Errorf("%s %q is not a rate", rateColumn, rate)
	}
	part := at / partOfDay
	if part >= len(c.rates) {
		c.rates = append(c.rates, make([]float64, part+1-len(c.rates))...)
	}
	c.rates[part] = perSecond
	return nil
}

// addSizes leaves out hours in which a client made no call.
func (c *client) addSizes(start string, texts ...string) error {
	at, err := secondOf(start)
	if err != nil {
		return err
	}
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
	c.sizes[at/partOfSizes] = &sizes{in: size{n[0], n[1]}, out: size{n[2], n[3]}}
	return nil
}

// secondOf reads when a row begins.
func secondOf(start string) (int, error) {
	at, err := strconv.ParseFloat(start, 64)
	if err != nil || !(at >= 0) || at > 366*86400 {
		return 0, fmt.Errorf("%s %q is not a time of a year in seconds", windowColumn, start)
	}
	return int(at), nil
}
