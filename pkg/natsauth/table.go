package natsauth

import (
	"slices"

	"github.com/bursarhq/bursar/pkg/wire"
)

// Parts of the JetStream API's subjects.
const (
	api        = "$JS.API."
	anyRequest = wire.SubjectRoot + "." + wire.SubjectVersion + ".*."
	discovery  = "$SRV.>" // nats micro ls, info and stats
)

// For returns the permissions of an identity: its row of the table. It returns [ErrIdentity] or
// wire.ErrName for what is no identity.
func For(id Identity) (Permissions, error) {
	inbox, err := id.InboxPrefix()
	if err != nil {
		return Permissions{}, err
	}
	if id.Role.principal() {
		return principalRow(id, inbox)
	}
	return serviceRow(id.Role, inbox+".>"), nil
}

// principalRow: whatever a principal publishes carries its own name, whatever it hears is its own;
// only events of the workspace are open to all its operators and viewers.
func principalRow(id Identity, inbox string) (Permissions, error) {
	agent, err := wire.PrincipalFilter(id.Workspace, wire.KindAgent, id.Principal)
	if err != nil {
		return Permissions{}, err
	}
	notices, err := wire.PrincipalFilter(id.Workspace, wire.KindNotice, id.Principal)
	if err != nil {
		return Permissions{}, err
	}
	events, err := wire.PrincipalFilter(id.Workspace, wire.KindEvent, id.Principal)
	if err != nil {
		return Permissions{}, err
	}
	p := Permissions{Publish: []string{agent}, Subscribe: []string{inbox + ".>", notices, events}}
	switch id.Role {
	case RoleAgent:
		return p, nil
	case RoleViewer:
		return viewerRow(id, inbox, notices)
	}
	admin, err := wire.PrincipalFilter(id.Workspace, wire.KindAdmin, id.Principal)
	if err != nil {
		return Permissions{}, err
	}
	query, err := wire.PrincipalFilter(id.Workspace, wire.KindQuery, id.Principal)
	if err != nil {
		return Permissions{}, err
	}
	allEvents, err := wire.KindFilter(id.Workspace, wire.KindEvent)
	if err != nil {
		return Permissions{}, err
	}
	p.Publish = append(p.Publish, admin, query, discovery)
	p.Subscribe = []string{inbox + ".>", notices, allEvents}
	return p, nil
}

// viewerRow: the questions that an operator may ask, and none of the orders.
func viewerRow(id Identity, inbox, notices string) (Permissions, error) {
	var p Permissions
	for _, verb := range wire.ViewerVerbs() {
		subject, err := wire.AdminSubject(id.Workspace, id.Principal, verb)
		if err != nil {
			return Permissions{}, err
		}
		p.Publish = append(p.Publish, subject)
	}
	query, err := wire.PrincipalFilter(id.Workspace, wire.KindQuery, id.Principal)
	if err != nil {
		return Permissions{}, err
	}
	events, err := wire.KindFilter(id.Workspace, wire.KindEvent)
	if err != nil {
		return Permissions{}, err
	}
	p.Publish = append(p.Publish, query)
	p.Subscribe = []string{inbox + ".>", notices, events}
	return p, nil
}

func serviceRow(role Role, inbox string) Permissions {
	switch role {
	case RoleAllocatorFront:
		return front(inbox, anyRequest+"agent.>", anyRequest+"admin.>").publishes(anyRequest + "notice.>")
	case RoleAnalyticsFront:
		return front(inbox, anyRequest+"query.>")
	case RoleAllocatorStore:
		return Permissions{Subscribe: []string{inbox}}.
			writes(wire.BucketLedger).writes(wire.BucketKeyframes).writes(wire.BucketLease).
			reads(wire.StreamLedger).reads(wire.StreamKeyframes).reads(wire.StreamLease).
			scans(wire.StreamLedger).scans(wire.StreamKeyframes).
			reads(wire.StreamEstimates).scans(wire.StreamEstimates)
	case RoleRelay:
		return Permissions{Subscribe: []string{inbox}}.follows(wire.ConsumerRelay).publishes(wire.FilterEvents).
			reads(wire.StreamLedger) // to see whether a commit is gone
	case RoleAnalytics:
		return Permissions{Subscribe: []string{inbox}}.follows(wire.ConsumerAnalytics).
			reads(wire.StreamLedger).     // to find what ClickHouse lacks
			reads(wire.StreamSuggestions) // to copy them
	case RoleSuggestion:
		return Permissions{Subscribe: []string{inbox}}.follows(wire.ConsumerSuggestion).
			publishes(anyRequest + "event.*.*.suggestion.>").
			writes(wire.BucketSuggestions).reads(wire.StreamSuggestions).scans(wire.StreamSuggestions).
			writes(wire.BucketEstimates).reads(wire.StreamEstimates).
			reads(wire.StreamLedger).scans(wire.StreamLedger). // the days that it replays, after a start
			reads(wire.StreamEvents)                           // which suggestion it told last
	case RoleNotification:
		return Permissions{Subscribe: []string{inbox}}.
			reads(wire.StreamEvents).scans(wire.StreamEvents).publishes("$JS.ACK." + wire.StreamEvents + ".>")
	case RoleReader:
		return Permissions{Subscribe: []string{inbox}}.
			reads(wire.StreamLedger).reads(wire.StreamKeyframes).reads(wire.StreamLease).
			reads(wire.StreamSuggestions).reads(wire.StreamEvents).
			scans(wire.StreamLedger).scans(wire.StreamKeyframes).scans(wire.StreamSuggestions).scans(wire.StreamEvents).
			publishes(wire.KeySubject(wire.BucketSuggestions, wire.AnyDismissals)) // which advice is not wanted
	case RolePage:
		return Permissions{Subscribe: []string{inbox}}.
			reads(wire.StreamSuggestions).reads(wire.StreamEvents).scans(wire.StreamEvents)
	case RoleMaintenance:
		return Permissions{Subscribe: []string{inbox}}.
			reads(wire.StreamLedger).reads(wire.StreamKeyframes).scans(wire.StreamLedger).scans(wire.StreamKeyframes).
			writes(wire.BucketKeyframes).publishes(api + "STREAM.PURGE." + wire.StreamLedger).
			publishes(perConsumer("CONSUMER.INFO")...)
	case RoleProvisioning:
		return provisioning(inbox)
	}
	return Permissions{} // nothing: For has refused unknown roles
}

// front is a connection that answers requests: it may answer at inboxes of principals and nowhere
// else. What it answers whom, the service checks (wire.ReplyAllowed).
func front(inbox string, requests ...string) Permissions {
	return Permissions{
		Publish:   []string{wire.InboxRoot + ".>"},
		Subscribe: append(requests, discovery, inbox),
	}
}

// publishes, writes, reads, scans and follows return p with one more thing allowed.
func (p Permissions) publishes(subjects ...string) Permissions {
	p.Publish = append(slices.Clone(p.Publish), subjects...)
	return p
}

// writes lets keys of a bucket be written.
func (p Permissions) writes(bucket string) Permissions {
	return p.publishes(wire.BucketSubject(bucket))
}

// reads lets a stream or bucket be opened and single messages or keys of it be read.
func (p Permissions) reads(stream string) Permissions {
	p = p.publishes(api+"STREAM.INFO."+stream, api+"STREAM.MSG.GET."+stream)
	if stream == wire.StreamSuggestions { // the one stream that allows direct reads
		p = p.publishes(api+"DIRECT.GET."+stream, api+"DIRECT.GET."+stream+".>")
	}
	return p
}

// scans lets a stream be read through ordered consumers of one's own: watches, listings, history. The
// durable consumers of our services are out of reach, but for the one that follows allows.
func (p Permissions) scans(stream string) Permissions {
	p = p.publishes(
		api+"CONSUMER.CREATE."+stream+".>",
		api+"CONSUMER.INFO."+stream+".*",
		api+"CONSUMER.MSG.NEXT."+stream+".*",
		api+"CONSUMER.DELETE."+stream+".*",
		"$JS.FC."+stream+".>",
	)
	if stream != wire.StreamLedger {
		return p
	}
	others := slices.DeleteFunc(perConsumer("CONSUMER.MSG.NEXT"), func(subject string) bool { return slices.Contains(p.Publish, subject) })
	p.DenyPublish = slices.Concat(p.DenyPublish,
		perConsumer("CONSUMER.CREATE"), suffixed(perConsumer("CONSUMER.CREATE"), ".>"), others, perConsumer("CONSUMER.DELETE"))
	return p
}

// follows lets a durable consumer of the ledger be read, acknowledged and reset.
func (p Permissions) follows(consumer string) Permissions {
	of := wire.StreamLedger + "." + consumer
	return p.publishes(
		api+"CONSUMER.INFO."+of,
		api+"CONSUMER.MSG.NEXT."+of,
		api+"CONSUMER.RESET."+of,
		"$JS.ACK."+of+".>",
	)
}

// provisioning makes, looks up and widens; it deletes and purges nothing.
func provisioning(inbox string) Permissions {
	p := Permissions{Subscribe: []string{inbox}}
	for _, stream := range []string{wire.StreamLedger, wire.StreamKeyframes, wire.StreamLease, wire.StreamSuggestions, wire.StreamEstimates, wire.StreamEvents} {
		p = p.publishes(api+"STREAM.INFO."+stream, api+"STREAM.CREATE."+stream, api+"STREAM.UPDATE."+stream)
	}
	return p.publishes(perConsumer("CONSUMER.INFO")...).publishes(suffixed(perConsumer("CONSUMER.CREATE"), "."+wire.FilterLedger)...)
}

// perConsumer returns the subjects of an API call for each durable consumer of the ledger.
func perConsumer(call string) []string {
	var subjects []string
	for _, name := range wire.LedgerConsumers() {
		subjects = append(subjects, api+call+"."+wire.StreamLedger+"."+name)
	}
	return subjects
}

func suffixed(subjects []string, suffix string) []string {
	out := make([]string, len(subjects))
	for i, s := range subjects {
		out[i] = s + suffix
	}
	return out
}
