package wire

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// notPublic are the fields of the record that events on the wire leave out on purpose: what only folding a ledger needs.
var notPublic = map[string]bool{
	"ReservationGranted.Passed":  true,
	"ReservationExtended.Passed": true,
	"ReservationClosed.Expires":  true,
	// Of a wish the labels tell what was asked for first.
	"ReservationQueued.Wish.Provider":    true,
	"ReservationQueued.Wish.Account":     true,
	"ReservationQueued.Wish.Model":       true,
	"ReservationQueued.Wish.Lifetime":    true,
	"ReservationQueued.Wish.Lease":       true,
	"ReservationQueued.Wish.Accounts":    true,
	"ReservationQueued.Wish.Providers":   true,
	"ReservationQueued.Wish.Models":      true,
	"ReservationQueued.Wish.Preemptible": true,
	"ReservationQueued.By.From":          true,
	"ReservationQueued.By.At":            true,
	"ReservationQueued.By.To":            true,
	"WindowRolled.Outside":               true,
	"WindowRolled.DriftPace":             true,
	// How a capacity is learned.
	"ObservationRecorded.Since":                          true,
	"ObservationRecorded.Told":                           true,
	"ObservationRecorded.Lesson.Begin":                   true,
	"ObservationRecorded.Lesson.End":                     true,
	"ObservationRecorded.Lesson.Estimate.Seen":           true,
	"ObservationRecorded.Lesson.Estimate.Outside":        true,
	"ObservationRecorded.Lesson.Estimate.At":             true,
	"ObservationRecorded.Lesson.Estimate.Classes.Class":  true,
	"ObservationRecorded.Lesson.Estimate.Classes.Low":    true,
	"ObservationRecorded.Lesson.Estimate.Classes.Likely": true,
	"ObservationRecorded.Lesson.Estimate.Classes.High":   true,
}

// TestEveryFieldOfAnEventIsPublic: what the ledger records of an event, a configuration included, is told on the wire or is
// listed above, and the objects of event_fields.go write what the structs say. The time of an event is in its envelope.
func TestEveryFieldOfAnEventIsPublic(t *testing.T) {
	t.Parallel()
	told := map[string]bool{} // by field
	for _, blank := range everyEvent() {
		if publicData(blank) == nil {
			continue // told by TestEveryEventIsPublic
		}
		// Some fields count only where a flag is set, or is not.
		for _, flags := range []bool{false, true} {
			e := reflect.New(reflect.TypeOf(blank).Elem())
			fillAll(e.Elem(), flags)
			data := dataOf(t, e)
			if plain, err := json.Marshal(publicData(e.Interface().(quota.Event))); err != nil || !sameJSON(t, plain, []byte(data)) {
				t.Errorf("%s: its object in event_fields.go writes\n%s\nand the struct in event_data.go is\n%s (%v)", blank.Kind(), data, plain, err)
			}
			kind := e.Elem().Type().Name()
			eachField(e.Elem(), kind, func(name string, field reflect.Value) {
				if name == kind+".At" {
					return
				}
				was := reflect.ValueOf(field.Interface())
				field.SetZero()
				told[name] = told[name] || dataOf(t, e) != data
				field.Set(was)
			})
		}
	}
	for name, public := range told {
		switch {
		case !public && !notPublic[name]:
			t.Errorf("%s is in the record and not on the wire: add it to event_data.go, event_map.go, event_fields.go and the schema, or, of a "+
				"configuration, to config.go and the schema; or list it in notPublic", name)
		case public && notPublic[name]:
			t.Errorf("%s is on the wire: take it off notPublic", name)
		}
	}
	for name := range notPublic {
		if _, exists := told[name]; !exists {
			t.Errorf("there is no %s: take it off notPublic", name)
		}
	}
}

// TestEveryEventIsPublic reads the source of the domain: an event added there has a public form, and is in the lists of kinds
// here.
func TestEveryEventIsPublic(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../quota/*.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{} // by type
	for _, e := range everyEvent() {
		if publicData(e) == nil {
			t.Errorf("%s has no public form: add it to event_data.go, to the switches of event_map.go and to event_fields.go", e.Kind())
		}
		kinds[reflect.TypeOf(e).Elem().Name()] = e.Kind()
	}
	known := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^func \(\*(\w+)\) Kind\(\) string`).FindAllSubmatch(source, -1) {
			name := string(found[1])
			kind, ok := kinds[name]
			switch {
			case !ok:
				t.Errorf("%s is in no test here: add one to everyEvent, and its public form to event_data.go, event_map.go and event_fields.go", name)
			case !slices.Contains(EventKinds(), kind):
				t.Errorf("%s is missing in EventKinds", kind)
			}
			known++
		}
	}
	if known < 21 {
		t.Errorf("the domain has %d events; where are they now?", known)
	}
}

// dataOf is the data of an event on the wire.
func dataOf(t *testing.T, event reflect.Value) string {
	t.Helper()
	made, err := NewEvent(Place{Workspace: "w", LedgerID: "l", Commit: 1, At: testAt}, event.Interface().(quota.Event))
	if err != nil {
		t.Fatal(err)
	}
	return string(made.Data)
}
