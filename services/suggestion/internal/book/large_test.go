package book

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/scene"
)

// envReservations is how many reservations BenchmarkLargeLedger has in its week; docs/advice.md has figures of 100000 and 1000000.
const (
	envReservations     = "BURSAR_BENCH_RESERVATIONS"
	defaultReservations = 20_000
)

// BenchmarkLargeLedger reads a week with many reservations, as a service does that has it all before it, and then advises.
func BenchmarkLargeLedger(b *testing.B) {
	n := defaultReservations
	if text := os.Getenv(envReservations); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	prices, err := price.Default()
	if err != nil {
		b.Fatal(err)
	}
	var read, advised, all, again time.Duration
	var before, after runtime.MemStats
	var book *Book
	rounds := 0
	for b.Loop() {
		rounds++
		runtime.GC()
		runtime.ReadMemStats(&before)
		book = New("acme", prices)
		l := scene.New(b, 1)
		book.Read(l.Commit(l.Configured()))
		pause := quota.Millis(7*int64(quota.Day)) / quota.Millis(n)
		for i := range n {
			events := job(l, i)
			commit := l.Commit(events...)
			began := processor(b)
			book.Read(commit)
			read += processor(b) - began
			l.Pass(pause)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		began := processor(b)
		book.Advise(nil)
		advised += processor(b) - began
		for rounds := 0; book.Awaiting(); rounds++ {
			book.Advise(nil)
			if rounds > 100 {
				b.Fatal("advice awaits its test for ever")
			}
		}
		all += processor(b) - began
		l.Pass(quota.Minute)
		book.Read(l.Commit(job(l, n)...))
		began = processor(b)
		book.Advise(nil)
		again += processor(b) - began
	}
	runtime.KeepAlive(book)
	b.ReportMetric(float64(read.Nanoseconds())/float64(rounds*n), "ns/reservation")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
	b.ReportMetric(float64(advised.Milliseconds())/float64(rounds), "ms/advise")
	b.ReportMetric(float64(all.Milliseconds())/float64(rounds), "ms/all-advice")
	b.ReportMetric(float64(again.Milliseconds())/float64(rounds), "ms/advise-again")
	b.ReportMetric(float64(book.jobs.Len()), "jobs")
	b.ReportMetric(float64(len(book.list)), "suggestions")
}

// processor is the processor time of this process: what else the machine does must not count.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// job is what one reservation of many is: three calls and a close, or a refusal now and then.
func job(l *scene.Ledger, i int) []quota.Event {
	task := []string{"analysis", "code_review", "quick_query", "documentation"}[i%4]
	account := []string{"max", "api", "api"}[i%3]
	labels := quota.Labels{
		Principal: "ci", Agent: "w" + strconv.Itoa(i%50), Team: "a", Provider: "claude", Account: account, Model: []string{"claude-sonnet-4-6", "claude-opus-4-8"}[i/7%2],
		TaskType: task, Complexity: []string{"simple", "medium", "complex"}[i%3],
	}
	if i%17 == 0 {
		return l.Exhausted(1)
	}
	held := quota.Tokens{Input: 2_000, CacheWrite5m: 5_000, Output: 10_000 + int64(i%13)*500}
	used := quota.Tokens{Input: 500 + int64(i%7)*100, CacheWrite5m: 1_500, Output: 1_000 + int64(i%11)*200}
	rate := quota.Rate{Input: 3_000_000, CacheRead: 300_000, CacheWrite5m: 3_750_000, CacheWrite1h: 6_000_000, Output: 15_000_000}
	id, at := fmt.Sprint("r", i), l.Now()
	events := []quota.Event{&quota.ReservationGranted{At: at, Reservation: id, Labels: labels, Amount: quota.Amount{Tokens: held}, Rate: rate, CostHeld: rate.CostCeil(held)}}
	for call := range 3 {
		at = at.Add(quota.Millis(call) * 20 * quota.Second)
		events = append(events, &quota.UsageRecorded{
			At: l.Now(), OccurredAt: at, Reservation: id, Standing: quota.StandingOpen, Labels: labels, Tokens: used, Requests: 1, Rate: rate, Cost: rate.Cost(used),
		})
	}
	all := quota.Tokens{Input: 3 * used.Input, CacheWrite5m: 3 * used.CacheWrite5m, Output: 3 * used.Output}
	return append(events, &quota.ReservationClosed{
		At: l.Now(), Reservation: id, Labels: labels, Outcome: quota.OutcomeSettled, Granted: quota.Amount{Tokens: held}, Used: quota.Amount{Tokens: all},
		CostHeld: rate.CostCeil(held), CostUsed: rate.Cost(all), GrantedAt: at,
	})
}
