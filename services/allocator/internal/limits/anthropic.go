package limits

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// DefaultURL is where Anthropic answers.
const DefaultURL = "https://api.anthropic.com"

// Bounds of an answer.
const (
	patience   = 10 * time.Second // of one page
	maxPages   = 20
	maxBytes   = 1 << 20 // of one page
	apiVersion = "2023-06-01"
	ratesPath  = "/v1/organizations/rate_limits"
)

// group is the models that share limits, and the limits by their type.
type group struct {
	Models []string
	Limits map[string]int64
}

// page is one answer; fields that are not needed are passed over.
type page struct {
	Data []struct {
		GroupType string   `json:"group_type"`
		Models    []string `json:"models"`
		Limits    []struct {
			Type  string  `json:"type"`
			Value float64 `json:"value"`
		} `json:"limits"`
	} `json:"data"`
	NextPage *string `json:"next_page"`
}

// errNoKey: the variable that should hold the key is empty.
var errNoKey = errors.New("the environment variable is not set")

// newClient makes a client that follows no redirect: the key would go along.
func newClient() *http.Client {
	return &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// fetch asks for all groups of models. Errors name the status and never the key.
func fetch(ctx context.Context, client *http.Client, base, key string) ([]group, error) {
	if key == "" {
		return nil, errNoKey
	}
	var groups []group
	next := ""
	for range maxPages {
		p, err := fetchPage(ctx, client, base, key, next)
		if err != nil {
			return nil, err
		}
		for i := range p.Data {
			if len(p.Data[i].Models) == 0 {
				continue // of another surface than the messages
			}
			g := group{Models: p.Data[i].Models, Limits: map[string]int64{}}
			for _, l := range p.Data[i].Limits {
				if l.Value >= 1 && l.Value <= maxValue {
					g.Limits[l.Type] = int64(l.Value)
				}
			}
			groups = append(groups, g)
		}
		if p.NextPage == nil || *p.NextPage == "" {
			return groups, nil
		}
		next = *p.NextPage
	}
	return nil, fmt.Errorf("the list has more than %d pages", maxPages)
}

// maxValue is the largest limit that is believed.
const maxValue = 1e15

func fetchPage(ctx context.Context, client *http.Client, base, key, next string) (*page, error) {
	address := base + ratesPath
	if next != "" {
		address += "?page=" + url.QueryEscape(next)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for rate limits: %w", err)
	}
	request.Header.Set("anthropic-version", apiVersion)
	request.Header.Set("x-api-key", key)
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for rate limits: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // only read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for rate limits: status %d", response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the rate limits: %w", err)
	case len(data) > maxBytes:
		return nil, fmt.Errorf("the rate limits have more than %d bytes", maxBytes)
	}
	var p page
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("read the rate limits: %w", err)
	}
	if p.Data == nil {
		return nil, errors.New("the answer is no list of rate limits")
	}
	return &p, nil
}
