package config

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
)

// rawTeam is a team: its name alone, or with what is its own.
type rawTeam struct {
	Name     string      `json:"name"`
	Weight   int64       `json:"weight"`
	Shares   []rawShare  `json:"shares"`
	FanOut   rawFanOut   `json:"fan_out"`
	Ceilings rawCeilings `json:"ceilings"`
}

// UnmarshalJSON reads both forms.
func (t *rawTeam) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &t.Name)
	}
	type plain rawTeam
	return json.Unmarshal(data, (*plain)(t))
}

type rawShare struct {
	Limit         string `json:"limit"`
	Floor         int64  `json:"floor"`
	FloorPercent  int64  `json:"floor_percent"`
	Priority      string `json:"priority"`
	LendPercent   int64  `json:"lend_percent"`
	Borrow        *int64 `json:"borrow"`
	BorrowPercent *int64 `json:"borrow_percent"`
}

type rawFanOut struct {
	Live              int64 `json:"live"`
	LivePerAgent      int64 `json:"live_per_agent"`
	PerMinute         int64 `json:"per_minute"`
	PerAgentPerMinute int64 `json:"per_agent_per_minute"`
}

type rawCeilings struct {
	Zone     string    `json:"zone"`
	Tokens   rawPeriod `json:"tokens"`
	MicroUSD rawPeriod `json:"micro_usd"`
}

type rawPeriod struct {
	Day   int64 `json:"day"`
	Week  int64 `json:"week"`
	Month int64 `json:"month"`
}

// percentMilli is how many of the ledger's parts a percent is.
const percentMilli = 1000

// shares sets what teams have of limits, when all limits are known.
func (b *builder) shares() {
	for _, t := range list[rawTeam](&b.src, "teams") {
		raw := t.raw
		team := quota.Team{Name: raw.Name, Weight: raw.Weight, FanOut: quota.FanOut(raw.FanOut)}
		seen := names{}
		for i, s := range raw.Shares {
			at := t.at.child("shares", i)
			if b.unique(seen, strings.TrimSpace(s.Limit+" "+s.Priority), at, "share of") {
				if share, ok := b.share(s, at); ok {
					team.Shares = append(team.Shares, share)
				}
			}
		}
		if team.Weight != 0 || team.FanOut != (quota.FanOut{}) || len(team.Shares) > 0 {
			b.out.Quota.Teams = append(b.out.Quota.Teams, team)
		}
	}
	b.floorsFit()
}

// share converts one; false means that it is of no limit that can be shared.
func (b *builder) share(raw rawShare, at pointer) (quota.Share, bool) {
	if !b.shareable(raw.Limit, at.child("limit")) {
		return quota.Share{}, false
	}
	from, _ := quota.ParsePriority(raw.Priority)
	s := quota.Share{
		Limit: raw.Limit, Floor: raw.Floor, FloorPart: raw.FloorPercent * percentMilli, From: from, LendPart: raw.LendPercent * percentMilli,
	}
	switch hasFloor := raw.Floor > 0 || raw.FloorPercent > 0; {
	case raw.LendPercent > 0 && !hasFloor:
		b.c.add(at.child("lend_percent"), "there is no floor to lend of", "write floor or floor_percent, or leave it out")
	case raw.Priority != "" && !hasFloor:
		b.c.add(at.child("priority"), "there is no floor to keep for it", "write floor or floor_percent, or leave it out")
	case raw.Priority != "" && (raw.Borrow != nil || raw.BorrowPercent != nil):
		b.c.add(at.child("priority"), "what a team may borrow does not depend on the priority", "write it in a share of the same limit without a priority")
	case raw.Floor > 0 && raw.FloorPercent > 0, raw.Borrow != nil && raw.BorrowPercent != nil:
		b.c.add(at, "the same is given in units and in percent", "leave one of them out")
	case raw.Borrow != nil && raw.FloorPercent > 0, raw.BorrowPercent != nil && raw.Floor > 0:
		b.c.add(at, "the floor and what may be borrowed are in different units", "write both in units or both in percent")
	case !hasFloor && raw.Borrow == nil && raw.BorrowPercent == nil:
		b.c.add(at, "the share says nothing", "write floor, floor_percent, borrow or borrow_percent")
	}
	if raw.Borrow != nil {
		s.Most = raw.Floor + *raw.Borrow
	}
	if raw.BorrowPercent != nil {
		s.MostPart = (raw.FloorPercent + *raw.BorrowPercent) * percentMilli
	}
	if (raw.Borrow != nil || raw.BorrowPercent != nil) && s.Most == 0 && s.MostPart == 0 {
		b.c.add(at, "the team may take nothing at all", "leave the team out of the account's teams instead")
	}
	return s, true
}

// shareable tells whether a limit is there, and one that teams have in common.
func (b *builder) shareable(id string, at pointer) bool {
	l := b.limit(id, at)
	switch {
	case l == nil:
		return false
	case l.Window.Kind == quota.WindowBucket:
		b.c.add(at, "a bucket refills all the time and has no floors", "use fan_out for rates, or name a session, calendar or concurrent limit")
		return false
	case l.Scope.Team != "" || l.Scope.Agent != "":
		b.c.add(at, "the limit is of one team or agent alone", "name a limit that teams have in common")
		return false
	}
	return true
}

// floorsFit reports limits of which more is guaranteed than there is.
func (b *builder) floorsFit() {
	for i := range b.out.Quota.Limits {
		l := &b.out.Quota.Limits[i]
		var units, parts int64
		for _, t := range b.out.Quota.Teams {
			for _, s := range t.Shares {
				if s.Limit == l.ID {
					units += s.Floor
					parts += s.FloorPart
				}
			}
		}
		if parts > 100*percentMilli || l.Capacity > 0 && (units > l.Capacity || units > l.Capacity-l.Capacity/(100*percentMilli)*parts) {
			b.c.add(pointer{"teams"}, fmt.Sprintf("more is guaranteed of limit %s than it has", l.ID), "make its floors smaller")
		}
	}
}

// ceilings adds the limits that a team's ceilings stand for.
func (b *builder) ceilings() {
	for _, t := range list[rawTeam](&b.src, "teams") {
		raw, at := t.raw.Ceilings, t.at.child("ceilings")
		b.zone(raw.Zone, at.child("zone"))
		for _, of := range []struct {
			unit    quota.Unit
			periods rawPeriod
		}{{quota.UnitTokens, raw.Tokens}, {quota.UnitMicroUSD, raw.MicroUSD}} {
			for _, p := range []struct {
				period   quota.Period
				capacity int64
			}{{quota.PeriodDay, of.periods.Day}, {quota.PeriodWeek, of.periods.Week}, {quota.PeriodMonth, of.periods.Month}} {
				if p.capacity == 0 {
					continue
				}
				id := fmt.Sprintf("%s/%s/%s", t.raw.Name, of.unit, p.period)
				b.addLimit(quota.Limit{
					ID: id, Name: id, Scope: quota.Scope{Team: t.raw.Name}, Unit: of.unit, Capacity: p.capacity, Weights: quota.DefaultWeights(of.unit),
					Window: quota.Window{Kind: quota.WindowCalendar, Period: p.period, Zone: raw.Zone},
				}, at)
			}
		}
	}
}
