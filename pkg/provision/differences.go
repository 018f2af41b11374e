package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Fields in which having something else than wanted is no difference: text for people, what the server
// adds about itself, and where a cluster's operator placed things.
var unimportant = map[string]bool{"description": true, "metadata": true, "placement": true}

// Defaults that the server fills in where a configuration leaves a field out.
var (
	streamFilledIn   = map[string]string{}
	consumerFilledIn = map[string]string{"max_waiting": "512"}
)

func streamDifferences(have, want jetstream.StreamConfig) []*DifferenceError {
	return differences("stream "+want.Name, have, want, streamFilledIn)
}

func consumerDifferences(stream string, have, want jetstream.ConsumerConfig) []*DifferenceError {
	return differences(fmt.Sprintf("consumer %s of stream %s", want.Durable, stream), have, want, consumerFilledIn)
}

// differences compares two configurations by the JSON they travel in, so that no field is forgotten,
// one of a later server included as far as the client knows it.
func differences(asset string, have, want any, filledIn map[string]string) []*DifferenceError {
	haveFields, wantFields := fields(have), fields(want)
	names := map[string]bool{}
	for name := range haveFields {
		names[name] = true
	}
	for name := range wantFields {
		names[name] = true
	}
	var diffs []*DifferenceError
	for _, name := range slices.Sorted(maps.Keys(names)) {
		h, w := haveFields[name], wantFields[name]
		if w == unset {
			if d, ok := filledIn[name]; ok {
				w = d
			}
		}
		if h != w && !unimportant[name] {
			diffs = append(diffs, &DifferenceError{Asset: asset, Field: name, Have: shown(h), Want: shown(w)})
		}
	}
	return diffs
}

const unset = ""

func shown(value string) string {
	if value == unset {
		return "not set"
	}
	return value
}

// fields returns the JSON of each field that is set. A zero value means the same as none.
func fields(cfg any) map[string]string {
	data, err := json.Marshal(cfg)
	if err != nil {
		// The client's configuration types always marshal; if one does not, nothing may pass as equal.
		return map[string]string{"(unreadable)": err.Error()}
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return map[string]string{"(unreadable)": err.Error()}
	}
	set := make(map[string]string, len(raw))
	for name, value := range raw {
		if !zero(value) {
			set[name] = string(value)
		}
	}
	return set
}

func zero(value json.RawMessage) bool {
	switch string(bytes.TrimSpace(value)) {
	case "null", "0", "false", `""`, "[]", "{}":
		return true
	}
	return false
}
