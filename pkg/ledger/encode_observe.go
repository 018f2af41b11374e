package ledger

import "github.com/bursarhq/bursar/pkg/quota"

// told writes what became of the windows of an observation of several.
func (f *fields) told(k byte, list []quota.Told) {
	if len(list) == 0 {
		return
	}
	f.key(k)
	f.b = appendHeader(f.b, cborArray, uint64(len(list)))
	for i := range list {
		t := &list[i]
		m := newFields(f.b)
		m.text(1, t.Window)
		m.text(2, t.Limit)
		m.bool(3, t.Effective)
		m.bool(4, t.Unknown)
		m.int(5, t.Capacity)
		m.int(6, int64(t.ClosedUntil))
		m.text(7, string(t.Code))
		m.text(8, t.Message)
		f.b = m.end()
	}
}
