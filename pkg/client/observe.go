package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/observe"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// ObserveResponse hands in what a provider's response says of an account, as it came; the allocator reads it. Of the
// headers only those that tell of limits are sent. The response stays as it was: of a refusal the first bytes of the body
// are read and put back. The reply is nil where the response says nothing. It fails only for the observation; the caller's
// own call is untouched.
func (a *Agent) ObserveResponse(ctx context.Context, account string, response *http.Response) (*wire.ObserveReply, error) {
	now := time.Now()
	raw := rawResponse(response)
	if raw == nil {
		return nil, nil //nolint:nilnil // nothing was said, and that is no error
	}
	return a.Observe(ctx, responseRequest(account, response.Request, raw, now))
}

// responseRequest is the request that hands a response in.
func responseRequest(account string, request *http.Request, raw *wire.RawObservation, now time.Time) wire.ObserveRequest {
	return wire.ObserveRequest{Account: account, Raw: raw, ObservedAt: wire.TimeOf(quota.InstantOf(now)), Model: modelOf(request)}
}

// rawResponse is what a response says of limits; nil for nothing. The body of a refusal can be read again afterwards.
func rawResponse(response *http.Response) *wire.RawObservation {
	raw := &wire.RawObservation{Status: int64(response.StatusCode), Headers: observe.Relevant(response.Header)}
	refused := response.StatusCode == http.StatusTooManyRequests || response.StatusCode == observe.StatusOverloaded
	if !refused {
		raw.Status = 0
		if len(raw.Headers) == 0 {
			return nil
		}
		return raw
	}
	if response.Body != nil {
		raw.Body = strings.ToValidUTF8(string(peek(response)), "?")
		raw.Body = strings.ToValidUTF8(raw.Body[:min(len(raw.Body), wire.MaxRawBytes)], "")
	}
	return raw
}

// peek reads the start of a body, which can be read again.
func peek(response *http.Response) []byte {
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
	return start
}

// failedReader gives the caller the error that came while the start was read.
type failedReader struct{ err error }

func (r failedReader) Read([]byte) (int, error) { return 0, r.err }

// modelBytes bounds how much of a request's body is looked through for its model.
const modelBytes = 1 << 20

// modelOf finds the model that a provider was asked for in a copy of the request's body, which is a JSON object with
// "model" at all providers that are understood; empty where it cannot be told.
func modelOf(request *http.Request) string {
	if request == nil || request.GetBody == nil {
		return ""
	}
	body, err := request.GetBody()
	if err != nil {
		return ""
	}
	defer func() { _ = body.Close() }() // a copy, only read
	d := json.NewDecoder(io.LimitReader(body, modelBytes))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return ""
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return ""
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return ""
		}
		var model string
		if key == "model" && json.Unmarshal(value, &model) == nil {
			return wire.Clip(model, wire.MaxNameBytes)
		}
	}
	return ""
}
