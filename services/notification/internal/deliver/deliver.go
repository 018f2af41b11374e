// Package deliver posts one event after another to one endpoint until each is taken.
//
// It guarantees at-least-once delivery in the order that it is given: [Courier.Handle] returns nil only for an event that
// the endpoint took or does not want, or that was given up, which is logged and counted. Pauses between tries double up
// to five minutes, vary, and are at least what a Retry-After asks for.
//
// Requests are signed as https://www.standardwebhooks.com describes, so that its libraries verify them in any language.
// Redirects are not followed: who signs for one host must not be sent to another.
package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/notification/internal/endpoint"
)

// How long and how often an event is tried.
const (
	// GiveUpAfter is how old an event may become before it is given up.
	GiveUpAfter = 72 * time.Hour
	// RefusedTries is how often an event is posted to an endpoint that says it is malformed.
	RefusedTries = 3

	tryTimeout      = 15 * time.Second
	firstPause      = time.Second
	longestPause    = 5 * time.Minute
	longestAsked    = time.Hour // of a Retry-After
	maxAnswerBytes  = 512       // of an endpoint's answer that is read, for the log
	contentJSON     = "application/json"
	contentEvent    = "application/cloudevents+json; charset=utf-8"
	userAgent       = "bursar-notification"
	headerRetryTime = "Retry-After"
)

// Courier posts the events of one endpoint. It is for one goroutine.
type Courier struct {
	to      endpoint.Endpoint
	signer  *standardwebhooks.Webhook // nil signs nothing
	client  *http.Client
	metrics *Metrics
	log     *slog.Logger
	now     func() time.Time
	pause   time.Duration // the first one
}

// New makes the courier of an endpoint. Its error is that of a secret that cannot be used.
func New(to endpoint.Endpoint, metrics *Metrics, log *slog.Logger, now func() time.Time) (*Courier, error) {
	c := &Courier{to: to, metrics: metrics, log: log, now: now, pause: firstPause, client: &http.Client{
		Timeout:       tryTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if to.Secret == "" {
		return c, nil
	}
	signer, err := standardwebhooks.NewWebhook(to.Secret)
	if err != nil {
		return nil, fmt.Errorf("signing secret of endpoint %s: %w", to.Name, err)
	}
	c.signer = signer
	return c, nil
}

// Handler returns [Courier.Handle] with pauses that end when serving does, so that nobody waits for them at the end; a
// request that is under way has the grace of the message's context.
func (c *Courier) Handler(serving context.Context) func(*message.Message) error {
	return func(msg *message.Message) error { return c.Handle(serving, msg) }
}

// Handle posts the event of a message until it is taken, refused for good or too old. Its only error is that of a
// context that ended before, serving or the message's: then the message is to be handed out again.
func (c *Courier) Handle(serving context.Context, msg *message.Message) error {
	event, err := wire.DecodeEvent(msg.Payload)
	if err != nil {
		c.log.Error("an event cannot be read and is left out", "error", err, "sequence", msg.Metadata.Get(bus.KeySequence))
		c.metrics.count(c.to.Name, outcomeUnreadable)
		return nil
	}
	if !c.to.Wants(event.Kind(), thresholdOf(&event)) {
		return nil
	}
	stored, err := time.Parse(time.RFC3339Nano, msg.Metadata.Get(bus.KeyTime))
	if err != nil {
		stored = c.now()
	}
	parcel := parcelOf(&event, msg.Payload, c.to.Format)
	pausing, cancel := context.WithCancelCause(serving)
	defer cancel(nil)
	defer context.AfterFunc(msg.Context(), func() { cancel(msg.Context().Err()) })()
	err = c.until(pausing, msg.Context(), parcel, stored.Add(GiveUpAfter))
	switch {
	case err == nil:
		c.metrics.delivered(c.to.Name, c.now().Sub(stored))
		return nil
	case pausing.Err() != nil:
		return fmt.Errorf("deliver event %s to %s: %w", event.ID, c.to.Name, context.Cause(pausing))
	}
	c.metrics.count(c.to.Name, outcomeGivenUp)
	c.log.Error("an event was given up", "event", event.ID, "type", event.Type, "error", err)
	return nil
}

// Post tries once, and tells what went wrong in words that hold no part of the URL but its host.
func (c *Courier) Post(ctx context.Context, event *wire.Event, payload []byte) error {
	return c.try(ctx, parcelOf(event, payload, c.to.Format))
}

// parcel is what is posted.
type parcel struct {
	id, contentType string
	body            []byte
}

func parcelOf(event *wire.Event, payload []byte, format endpoint.Format) parcel {
	// A full stop parts what is signed, so that an id must not have one.
	p := parcel{id: strings.ReplaceAll(event.ID, ".", "-"), contentType: contentEvent, body: payload}
	if format == endpoint.FormatSlack {
		p.contentType, p.body = contentJSON, slackBody(event)
	}
	return p
}

// until tries until the endpoint took the parcel, refused it for good, the time is up, or pausing ends between two tries.
func (c *Courier) until(pausing, trying context.Context, p parcel, end time.Time) error {
	refused := 0
	growing := backoff.NewExponentialBackOff()
	growing.InitialInterval, growing.MaxInterval, growing.Multiplier = c.pause, longestPause, 2
	pauses := &pauses{growing: growing}
	_, err := backoff.Retry(pausing, func() (struct{}, error) {
		err := c.try(trying, p)
		if err == nil || c.now().After(end) {
			return struct{}{}, backoff.Permanent(err)
		}
		var answer *answerError
		pauses.asked = 0
		if errors.As(err, &answer) {
			pauses.asked = answer.after
		}
		if answer != nil && answer.final() {
			if refused++; refused >= RefusedTries {
				return struct{}{}, backoff.Permanent(err)
			}
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, pause time.Duration) {
		c.metrics.count(c.to.Name, outcomeFailed)
		c.log.Warn("an event was not taken and will be posted again", "event", p.id, "error", err, "pause", pause.Round(time.Millisecond).String())
	}))
	return err
}

// pauses are those between tries. They grow whatever is asked for: an endpoint that is away for days behind a server that
// asks for a second each time is not to be posted to each second.
type pauses struct {
	growing *backoff.ExponentialBackOff
	asked   time.Duration // by the last answer
}

// NextBackOff implements [backoff.BackOff].
func (p *pauses) NextBackOff() time.Duration { return max(p.growing.NextBackOff(), p.asked) }

// Reset implements [backoff.BackOff].
func (p *pauses) Reset() { p.growing.Reset() }

// try posts once.
func (c *Courier) try(ctx context.Context, p parcel) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.to.URL, bytes.NewReader(p.body))
	if err != nil {
		return errors.New("make the request: the URL is not usable") // the error quotes the URL, which may be a secret
	}
	request.Header.Set("Content-Type", p.contentType)
	request.Header.Set("User-Agent", userAgent)
	at := c.now()
	request.Header.Set(standardwebhooks.HeaderWebhookID, p.id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	if c.signer != nil {
		signature, err := c.signer.Sign(p.id, at, p.body)
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("post to %s: %w", request.URL.Host, withoutURL(err))
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes)) // what cannot be read is left out of the log
	if response.StatusCode/100 == 2 {
		return nil
	}
	return &answerError{
		host: request.URL.Host, status: response.StatusCode, text: wire.Clip(string(text), maxAnswerBytes), after: c.asked(response.Header.Get(headerRetryTime)),
	}
}

// withoutURL takes the URL out of an error of the client: it may be a secret.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// asked reads a Retry-After: seconds or a time (RFC 9110 §10.2.3).
func (c *Courier) asked(header string) time.Duration {
	pause := time.Duration(0)
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		pause = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		pause = at.Sub(c.now())
	}
	return min(max(pause, 0), longestAsked)
}

// answerError is an answer other than 2xx.
type answerError struct {
	host   string
	status int
	text   string
	after  time.Duration // what it asks to wait; 0 when it asks nothing
}

func (e *answerError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("%s answered %d", e.host, e.status)
	}
	return fmt.Sprintf("%s answered %d: %s", e.host, e.status, e.text)
}

// final tells whether the answer is about this event rather than about the endpoint: it will be the same next time.
func (e *answerError) final() bool {
	return slices.Contains([]int{
		http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
	}, e.status)
}
