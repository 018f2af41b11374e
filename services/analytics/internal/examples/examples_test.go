package examples

import (
	"reflect"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	const page = "# Title\n\nNot this.\n\nWho is it,\nand why:\n\n```sql\nSELECT 1\n```\n\nOther:\n\n```sh\nls\n```\n\n**Fast?** Yes:\n\n```sql hot\nSELECT now(),\n'acme'\n```\n"
	got, err := Read(page)
	want := []Example{
		{Question: "Who is it, and why", SQL: "SELECT 1"},
		{Question: "**Fast?** Yes", SQL: "SELECT now(),\n'acme'", Hot: true},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	if sql := got[1].In("2026-10-02 12:00:00", "w7"); sql != "SELECT toDateTime('2026-10-02 12:00:00', 'UTC'),\n'w7'" {
		t.Errorf("put elsewhere: %s", sql)
	}
	for name, page := range map[string]string{"no end": "A:\n\n```sql\nSELECT 1\n", "no question": "```sql\nSELECT 1\n```\n"} {
		if _, err := Read(page); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
