package ledger

import "github.com/bursarhq/bursar/pkg/quota"

// What the queue and the ladder add to records that are encoded by hand.

func (f *fields) texts(k byte, list []string) {
	if len(list) == 0 {
		return
	}
	f.key(k)
	f.b = appendHeader(f.b, cborArray, uint64(len(list)))
	for _, s := range list {
		f.b = appendText(f.b, s)
	}
}

func (f *fields) steps(k byte, list []quota.Step) {
	if len(list) == 0 {
		return
	}
	f.key(k)
	f.b = appendHeader(f.b, cborArray, uint64(len(list)))
	for i := range list {
		s := &list[i]
		m := newFields(f.b)
		m.text(1, string(s.Rung))
		m.text(2, s.Account)
		m.text(3, s.Model)
		m.bool(4, s.Taken)
		m.text(5, string(s.Code))
		m.text(6, s.Limit)
		m.int(7, s.Requested)
		m.int(8, s.Available)
		m.text(9, s.Skipped)
		f.b = m.end()
	}
}

func (f *fields) place(k byte, p *quota.Place) {
	if p == nil {
		return
	}
	f.key(k)
	m := newFields(f.b)
	m.int(1, p.Position)
	m.int(2, int64(p.Until))
	m.int(3, int64(p.GrantFrom))
	m.int(4, int64(p.GrantAt))
	m.int(5, int64(p.GrantTo))
	m.int(6, int64(p.Since))
	m.int(7, int64(p.Grace))
	f.b = m.end()
}

func (f *fields) alternatives(k byte, list []quota.Alternative) {
	if len(list) == 0 {
		return
	}
	f.key(k)
	f.b = appendHeader(f.b, cborArray, uint64(len(list)))
	for i := range list {
		a := &list[i]
		m := newFields(f.b)
		m.text(1, string(a.Kind))
		m.text(2, a.Provider)
		m.text(3, a.Account)
		m.text(4, a.Model)
		m.int(5, a.Tokens)
		m.int(6, int64(a.At))
		f.b = m.end()
	}
}
