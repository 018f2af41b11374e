package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/bursarhq/bursar/pkg/observe"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Observations makes the requests that hand in what a provider said of an account at this time: one for each window,
// and one without a window where a refusal names none. A refusal that no wait cures is none of them.
func Observations(account string, said *observe.Said, at time.Time) []wire.ObserveRequest {
	var requests []wire.ObserveRequest
	base := wire.ObserveRequest{Account: account, Source: said.Source, ObservedAt: wire.TimeOf(quota.InstantOf(at))}
	for i := range said.Windows {
		requests = append(requests, windowRequest(base, &said.Windows[i], said.RetryAfter))
	}
	if said.Signal != "" {
		r := base
		r.Signal, r.RetryAfterMS = string(said.Signal), said.RetryAfter.Milliseconds()
		requests = append(requests, r)
	}
	return requests
}

func windowRequest(r wire.ObserveRequest, w *observe.Window, retry time.Duration) wire.ObserveRequest {
	r.Window, r.Signal = w.Name, string(w.Signal)
	r.UsedPercent = (*wire.Percent)(w.PercentMilli)
	r.WindowMS = min(w.Length.Milliseconds(), int64(quota.MaxWindowLength))
	if !w.ResetAt.IsZero() {
		r.ResetsAt = wire.TimeOf(quota.InstantOf(w.ResetAt))
	}
	if w.Signal != "" {
		r.RetryAfterMS = retry.Milliseconds()
	}
	if w.Limit != nil {
		n := min(*w.Limit, quota.MaxCapacity)
		r.Capacity = &n
		if w.Remaining != nil {
			used := max(0, n-*w.Remaining)
			r.Used = &used
		}
	}
	return r
}

// tells says whether there is anything to hand in beside the window's name; remaining alone has no place on the wire.
func tells(r *wire.ObserveRequest) bool {
	return r.Used != nil || r.UsedPercent != nil || r.Capacity != nil || r.ResetsAt != 0 || r.Signal != ""
}

// ObserveSaid hands in what a provider said of an account. One window that is refused does not keep the others
// back; their errors are joined.
func (a *Agent) ObserveSaid(ctx context.Context, account string, said *observe.Said, at time.Time) ([]wire.ObserveReply, error) {
	var replies []wire.ObserveReply
	var errs []error
	for _, r := range Observations(account, said, at) {
		if !tells(&r) {
			continue
		}
		reply, err := a.Observe(ctx, r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		replies = append(replies, *reply)
	}
	return replies, errors.Join(errs...)
}

// ObserveResponse hands in what a provider's response says of an account. The response stays as it was: of a refusal the
// first bytes of the body are read and put back. It fails only for the observation; the caller's own call is untouched.
func (a *Agent) ObserveResponse(ctx context.Context, account string, response *http.Response) error {
	now := time.Now()
	_, err := a.ObserveSaid(ctx, account, readResponse(response, now), now)
	return err
}

// readResponse understands a response; the body of a refusal can be read again afterwards.
func readResponse(response *http.Response, now time.Time) *observe.Said {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != observe.StatusOverloaded || response.Body == nil {
		return observe.Headers(response.Header, now)
	}
	body := response.Body
	start, err := io.ReadAll(io.LimitReader(body, observe.MaxBody))
	rest := io.Reader(body)
	if err != nil {
		rest = failedReader{err}
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), rest), body}
	return observe.Response(response.StatusCode, response.Header, start, now)
}

// failedReader gives the caller the error that came while the start was read.
type failedReader struct{ err error }

func (r failedReader) Read([]byte) (int, error) { return 0, r.err }
