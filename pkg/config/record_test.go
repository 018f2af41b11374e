package config

import (
	"reflect"
	"testing"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// What is configured comes back from the record as it was: an empty list that means something must not become none, and
// a configuration that is in force already must not look like another one.
func TestConfigurationsSurviveTheRecord(t *testing.T) {
	t.Parallel()
	documents := exampleFiles(t, "valid")
	documents["default.yaml"] = DefaultYAML()
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := Parse(name, document)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := ledger.Encode(&ledger.Commit{Events: []quota.Event{&quota.ConfigApplied{Config: parsed.Quota}}})
			if err != nil {
				t.Fatal(err)
			}
			commit, err := ledger.Decode(stored)
			if err != nil {
				t.Fatal(err)
			}
			got := commit.Events[0].(*quota.ConfigApplied).Config
			if !reflect.DeepEqual(got, parsed.Quota) {
				t.Error("it is another one when read back")
			}
		})
	}
}
