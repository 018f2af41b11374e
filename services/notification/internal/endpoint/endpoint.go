// Package endpoint reads who is told of what: the file of endpoints.
//
// It guarantees that what it returns can be used, that every fault of a file is told with what to do about it, and that
// no secret stands in the file: URLs that are secrets themselves and signing secrets are named by the variable of the
// environment that holds them.
package endpoint

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Format is how an endpoint wants to be told.
type Format string

// The formats.
const (
	// FormatCloudEvents posts the event as it is: CloudEvents 1.0 in structured JSON.
	FormatCloudEvents Format = "cloudevents"
	// FormatSlack posts one line for people, as incoming webhooks of Slack and of what is compatible with it
	// (Mattermost, Rocket.Chat, Discord with /slack) take it.
	FormatSlack Format = "slack"
)

// KindExhausted stands for limit.warning of 100 % and more; no event has that name.
const KindExhausted = "limit.exhausted"

// Bounds on a file.
const (
	MaxBytes     = 1 << 20
	MaxEndpoints = 32
	minKeyBytes  = 16 // of a signing secret
)

// secretPrefix is how signing secrets begin in writing.
const secretPrefix = "whsec_"

// Endpoint is somebody who is told.
type Endpoint struct {
	Name   string
	URL    string
	Secret string // base64 with or without whsec_; empty signs nothing
	Format Format
	// Kinds of events, such as limit.warning or limit.exhausted.
	Kinds []string
	// MinPercent leaves out warnings of lower thresholds.
	MinPercent int64
	// Workspaces to tell of; none means all.
	Workspaces []string
}

// defaultKinds are told where a file names none.
func defaultKinds() []string {
	return []string{quota.KindLimitWarning, KindExhausted, wire.KindSuggestionMade}
}

// Wants tells whether an endpoint is told of an event of a kind; percent is the threshold of a warning.
func (e *Endpoint) Wants(kind string, percent int64) bool {
	if kind != quota.KindLimitWarning {
		return slices.Contains(e.Kinds, kind)
	}
	if percent >= quota.ExhaustedPercent && slices.Contains(e.Kinds, KindExhausted) {
		return true
	}
	return percent >= e.MinPercent && slices.Contains(e.Kinds, quota.KindLimitWarning)
}

// Subjects are the filters that let through what the endpoint may want.
func (e *Endpoint) Subjects() []string {
	workspaces := []string{"*"}
	if len(e.Workspaces) > 0 {
		workspaces = e.Workspaces
	}
	var subjects []string
	for _, workspace := range workspaces {
		for _, kind := range e.Kinds {
			if kind == KindExhausted {
				kind = quota.KindLimitWarning
			}
			subject, err := wire.EventFilter(workspace, kind)
			if err == nil && !slices.Contains(subjects, subject) { // parse has checked the names
				subjects = append(subjects, subject)
			}
		}
	}
	return subjects
}

// file is the form of the file.
type file struct {
	Endpoints []entry `yaml:"endpoints"`
}

type entry struct {
	Name       string   `yaml:"name"`
	URL        string   `yaml:"url"`
	URLEnv     string   `yaml:"url_env"`
	SecretEnv  string   `yaml:"secret_env"`
	Format     Format   `yaml:"format"`
	Events     []string `yaml:"events"`
	MinPercent int64    `yaml:"min_percent"`
	Workspaces []string `yaml:"workspaces"`
}

// Parse reads a file; name is how faults call it. The error has every fault.
func Parse(name string, data []byte, getenv func(string) string) ([]Endpoint, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, len(data), MaxBytes)
	}
	var f file
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&f); err != nil && !errors.Is(err, io.EOF) { // of an empty file
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(f.Endpoints) == 0 || len(f.Endpoints) > MaxEndpoints {
		return nil, fmt.Errorf("%s has %d endpoints, want 1 to %d under the key endpoints", name, len(f.Endpoints), MaxEndpoints)
	}
	var (
		endpoints []Endpoint
		errs      []error
		seen      = map[string]bool{}
	)
	for i := range f.Endpoints {
		e, err := f.Endpoints[i].endpoint(getenv)
		if err == nil && seen[e.Name] {
			err = errors.New("another endpoint has the same name")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("endpoint %d (%s): %w", i+1, f.Endpoints[i].Name, err))
			continue
		}
		seen[e.Name] = true
		endpoints = append(endpoints, e)
	}
	if err := faults(errs); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return endpoints, nil
}

// faults are told in one line, as all errors of commands are.
func faults(errs []error) error {
	var texts []string
	for _, err := range errs {
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// namePattern is what the name of a durable consumer may be made of.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func (f *entry) endpoint(getenv func(string) string) (Endpoint, error) {
	e := Endpoint{Name: f.Name, Format: f.Format, Kinds: f.Events, MinPercent: f.MinPercent, Workspaces: f.Workspaces}
	if e.Format == "" {
		e.Format = FormatCloudEvents
	}
	if len(e.Kinds) == 0 {
		e.Kinds = defaultKinds()
	}
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !namePattern.MatchString(e.Name) {
		fault("name %q is not 1 to 32 of a-z, 0-9 and -", e.Name)
	}
	if e.Format != FormatCloudEvents && e.Format != FormatSlack {
		fault("format %q is neither %s nor %s", e.Format, FormatCloudEvents, FormatSlack)
	}
	if e.MinPercent < 0 {
		fault("min_percent %d is negative", e.MinPercent)
	}
	errs = append(errs, checkKinds(e.Kinds), checkWorkspaces(e.Workspaces), f.address(&e, getenv), f.secret(&e, getenv))
	return e, faults(errs)
}

func checkKinds(kinds []string) error {
	known := append(wire.EventKinds(), KindExhausted)
	for _, kind := range kinds {
		if !slices.Contains(known, kind) {
			slices.Sort(known)
			return fmt.Errorf("event %q does not exist; there are %s", kind, strings.Join(known, ", "))
		}
	}
	return nil
}

func checkWorkspaces(names []string) error {
	for _, name := range names {
		if _, err := wire.EventFilter(name, quota.KindLimitWarning); err != nil || name == "*" {
			return fmt.Errorf("workspace %q: leave workspaces out to be told of all, or write their names", name)
		}
	}
	return nil
}

// address takes the URL from the file or the environment. Plain HTTP is for this machine only.
func (f *entry) address(e *Endpoint, getenv func(string) string) error {
	from := "url"
	e.URL = f.URL
	switch {
	case f.URL != "" && f.URLEnv != "":
		return errors.New("url and url_env exclude each other")
	case f.URLEnv != "":
		from = "the variable " + f.URLEnv
		e.URL = getenv(f.URLEnv)
	}
	if e.URL == "" {
		return fmt.Errorf("%s is empty: write url, or url_env with the name of a variable that holds it", from)
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return fmt.Errorf("%s is no URL", from) // not the error: it quotes what may be a secret
	}
	if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return fmt.Errorf("%s is not https://… (or http:// on this machine)", from)
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func (f *entry) secret(e *Endpoint, getenv func(string) string) error {
	if f.SecretEnv == "" {
		return nil
	}
	e.Secret = getenv(f.SecretEnv)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(e.Secret, secretPrefix))
	if err != nil || len(key) < minKeyBytes {
		return fmt.Errorf("the variable %s must be %s and at least %d bytes in base64 (openssl rand -base64 32 makes them)",
			f.SecretEnv, secretPrefix, minKeyBytes)
	}
	return nil
}
