package wire

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bursarhq/bursar/pkg/quota"
)

// What is written digit by digit is what the layout says, and what is read is what time.Parse reads.
func TestTimesAreWrittenAndReadByTheLayout(t *testing.T) {
	t.Parallel()
	least, most := time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), time.Date(10_001, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	rapid.Check(t, func(t *rapid.T) {
		at := Time(rapid.Int64Range(least, most).Draw(t, "at"))
		want := quota.Instant(at).Time().Format(timeLayout)
		if got := string(appendTime(nil, at)); got != want {
			t.Fatalf("%d is written %s, want %s", at, got, want)
		}
		read, err := parseTime([]byte(want))
		if year := quota.Instant(at).Time().Year(); year < firstYear || year > lastYear {
			if err == nil {
				t.Fatalf("%s is read as %d", want, read)
			}
		} else if read != at || err != nil {
			t.Fatalf("%s is read as %d, %v, want %d", want, read, err, at)
		}
	})
}

func TestTimesThatTheCalendarDoesNotHave(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"2026-02-29T09:30:00.000Z", "2026-13-01T09:30:00.000Z", "2026-00-01T09:30:00.000Z", "2026-03-00T09:30:00.000Z", "2026-03-01T24:00:00.000Z",
		"2026-03-01T09:60:00.000Z", "2026-03-01T09:30:60.000Z", "2026-03-01T09:30:00.00xZ", "2026-03-01 09:30:00.000Z", "0000-01-01T00:00:00.000Z",
	} {
		if got, ok := parseOwnTime([]byte(text)); ok {
			t.Errorf("%s is read as %d", text, got)
		}
	}
}
