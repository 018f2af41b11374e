package attacktest

import (
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
)

// attacks returns every row.
func attacks() []attack {
	return slices.Concat(impersonations(), sniffing(), replies(), forgeries(), api(), compromisedServices(), malformed(), outsiders())
}

var (
	mallory = agent("mallory")                          // an agent of the workspace
	oscar   = operator("oscar")                         // an operator of the workspace
	eve     = natsauth.Agent(otherWorkspace, "eve")     // an agent of another one
	vera    = natsauth.Viewer(workspace, "vera")        // a viewer of the workspace
	olga    = natsauth.Operator(otherWorkspace, "olga") // an operator of another one
)

// publishing returns a row in which somebody publishes what he may not.
func publishing(name string, as natsauth.Identity, subject string) attack {
	return attack{name: name, as: as, do: func(x *attacker) { x.publish(subject, forged) }, want: refused}
}

func impersonations() []attack {
	request := func(name string, as natsauth.Identity, subject string) attack {
		return attack{name: name, as: as, want: refused, do: func(x *attacker) {
			x.ask(subject, x.nc.NewInbox(), reserveBody(x.t))
		}}
	}
	return []attack{
		request("reserve as another principal", mallory, subjectOf(workspace, wire.KindAgent, victimName, "w", wire.VerbReserve)),
		request("reserve in another workspace", eve, subjectOf(workspace, wire.KindAgent, "eve", "w", wire.VerbReserve)),
		request("reserve as somebody in another workspace", eve, subjectOf(workspace, wire.KindAgent, victimName, "w", wire.VerbReserve)),
		request("administer as an agent", mallory, subjectOf(workspace, wire.KindAdmin, "mallory", wire.VerbApply)),
		request("administer as an operator, being an agent", mallory, subjectOf(workspace, wire.KindAdmin, operatorName, wire.VerbApply)),
		request("ask analytics as an agent", mallory, subjectOf(workspace, wire.KindQuery, "mallory", wire.VerbSummary)),
		request("administer as another operator", oscar, subjectOf(workspace, wire.KindAdmin, operatorName, wire.VerbRevoke)),
		request("administer another workspace", olga, subjectOf(workspace, wire.KindAdmin, "olga", wire.VerbHold)),
		request("query another workspace", olga, subjectOf(workspace, wire.KindQuery, "olga", wire.VerbSummary)),
		request("reserve as an agent, being an operator", oscar, subjectOf(workspace, wire.KindAgent, victimName, "w", wire.VerbReserve)),
		request("apply as a viewer", vera, subjectOf(workspace, wire.KindAdmin, "vera", wire.VerbApply)),
		request("hold back as a viewer", vera, subjectOf(workspace, wire.KindAdmin, "vera", wire.VerbHold)),
		request("revoke as a viewer", vera, subjectOf(workspace, wire.KindAdmin, "vera", wire.VerbRevoke)),
		request("verify as a viewer", vera, subjectOf(workspace, wire.KindAdmin, "vera", wire.VerbVerify)),
		request("look as another viewer", vera, subjectOf(workspace, wire.KindAdmin, natsauth.DefaultViewer, wire.VerbAccounts)),
		request("reserve as a viewer", vera, subjectOf(workspace, wire.KindAgent, "vera", "w", wire.VerbReserve)),
		request("another name spelled in a second way", mallory, subjectOf(workspace, wire.KindAgent, "=61gents", "w", wire.VerbReserve)),
		request("a wildcard for a name", mallory, subjectOf(workspace, wire.KindAgent, "*", "w", wire.VerbReserve)),
		request("the empty name", mallory, subjectOf(workspace, wire.KindAgent, "=", "w", wire.VerbReserve)),
		request("another version of the protocol", mallory, "quota.v2.default.agent.mallory.w.reserve"),
	}
}

func sniffing() []attack {
	spying := func(name string, as natsauth.Identity, subject, queue string) attack {
		return attack{name: name, as: as, want: deaf, do: func(x *attacker) { x.spy(subject, queue) }}
	}
	inbox := wire.InboxRoot + "." + workspace + "." + victimName + ".>"
	return []attack{
		spying("sniff another inbox", mallory, inbox, ""),
		spying("sniff another inbox as an operator", oscar, inbox, ""),
		spying("sniff another inbox from another workspace", eve, inbox, ""),
		spying("sniff all inboxes", mallory, wire.InboxRoot+".>", ""),
		spying("sniff the inboxes of services", mallory, wire.ServiceInboxRoot+".>", ""),
		spying("sniff everything", mallory, ">", ""),
		spying("sniff requests", mallory, subjectOf(workspace, wire.KindAgent, ">"), ""),
		spying("steal requests by a queue group", mallory, subjectOf(workspace, wire.KindAgent, "*", "*", wire.VerbStatus), "q"),
		spying("steal requests as an operator", oscar, subjectOf(workspace, wire.KindAgent, "*", "*", wire.VerbStatus), "q"),
		spying("sniff requests to administer", mallory, subjectOf(workspace, wire.KindAdmin, ">"), ""),
		spying("sniff events of another principal", mallory, own(wire.KindEvent, victimName), ""),
		spying("sniff events of the workspace", mallory, subjectOf(workspace, wire.KindEvent, ">"), ""),
		spying("sniff events of another workspace", olga, subjectOf(workspace, wire.KindEvent, ">"), ""),
		spying("sniff events of all workspaces", olga, wire.FilterEvents, ""),
		spying("sniff notices of another principal", mallory, own(wire.KindNotice, victimName), ""),
		spying("sniff notices of others as an operator", oscar, subjectOf(workspace, wire.KindNotice, ">"), ""),
		spying("sniff notices as a viewer", vera, subjectOf(workspace, wire.KindNotice, ">"), ""),
		spying("sniff commits as a viewer", vera, wire.FilterLedger, ""),
		spying("sniff events of another workspace as a viewer", vera, wire.FilterEvents, ""),
		spying("sniff commits", mallory, "$KV.>", ""),
		spying("sniff commits as an operator", oscar, wire.FilterLedger, ""),
		spying("sniff acknowledgements and advisories", mallory, "$JS.>", ""),
		spying("sniff the system account", oscar, "$SYS.>", ""),
		spying("answer for a service", oscar, "$SRV.>", ""),
	}
}

// replies are requests in the attacker's own name, well formed, whose answer is wanted where only the
// responder may write. A responder that answered, or even decided, would show in the ledger.
func replies() []attack {
	aimed := func(name, reply string) attack {
		return attack{name: name, as: mallory, want: unheard, do: func(x *attacker) {
			x.ask(subjectOf(workspace, wire.KindAgent, "mallory", "w", wire.VerbReserve), reply, reserveBody(x.t))
		}}
	}
	rows := []attack{
		aimed("reply into the ledger", "$KV.quota_ledger.default"),
		aimed("reply into another ledger", "$KV.quota_ledger.other"),
		aimed("reply into the lease", "$KV.quota_lease.default"),
		aimed("reply into the keyframes", "$KV.quota_keyframes.default.1.0"),
		aimed("reply into the suggestions", "$KV.quota_suggestions.default.x"),
		aimed("reply into the estimates", "$KV.quota_estimates.default"),
		aimed("reply as an event", subjectOf(workspace, wire.KindEvent, victimName, "w", stolen)),
		aimed("reply as a notice", subjectOf(workspace, wire.KindNotice, victimName, stolen)),
		aimed("reply as a request of another principal", subjectOf(workspace, wire.KindAgent, victimName, "w", wire.VerbReserve)),
		aimed("reply as a request to administer", subjectOf(workspace, wire.KindAdmin, operatorName, wire.VerbApply)),
		aimed("reply into another inbox", wire.InboxRoot+"."+workspace+"."+victimName+"."+stolen),
		aimed("reply into an inbox of another workspace", wire.InboxRoot+"."+otherWorkspace+".eve."+stolen),
		aimed("reply into an inbox of a service", wire.ServiceInboxRoot+".allocator-store."+stolen),
		aimed("reply as an acknowledgement", "$JS.ACK.KV_quota_ledger.analytics.1.1.1.1.1"),
		aimed("reply to the system account", "$SYS.REQ.SERVER.PING"),
		aimed("reply as a discovery request", "$SRV.PING"),
	}
	for _, call := range destructiveCalls() {
		rows = append(rows, aimed("reply to "+call, "$JS.API."+call))
	}
	return append(rows, attack{name: "discovery answered into the ledger", as: oscar, want: unheard, do: func(x *attacker) {
		x.ask("$SRV.PING", "$KV.quota_ledger.default", nil)
		x.ask("$SRV.INFO", "$JS.API.STREAM.PURGE.KV_quota_ledger", nil)
		x.ask("$SRV.STATS", subjectOf(workspace, wire.KindEvent, victimName, "w", stolen), nil)
	}})
}

// destructiveCalls are calls of the JetStream API that destroy, change or stop something.
func destructiveCalls() []string {
	return []string{
		"STREAM.DELETE.KV_quota_ledger",
		"STREAM.PURGE.KV_quota_ledger",
		"STREAM.MSG.DELETE.KV_quota_ledger",
		"STREAM.UPDATE.KV_quota_ledger",
		"STREAM.SNAPSHOT.KV_quota_ledger",
		"STREAM.RESTORE.KV_quota_ledger",
		"STREAM.CREATE.elsewhere",
		"STREAM.DELETE.QUOTA_EVENTS",
		"STREAM.PURGE.QUOTA_EVENTS",
		"CONSUMER.DELETE.KV_quota_ledger.analytics",
		"CONSUMER.CREATE.KV_quota_ledger.spy.$KV.quota_ledger.>",
		"CONSUMER.DURABLE.CREATE.KV_quota_ledger.spy",
		"CONSUMER.RESET.KV_quota_ledger.relay",
		"CONSUMER.PAUSE.KV_quota_ledger.relay",
		"CONSUMER.MSG.NEXT.KV_quota_ledger.relay",
	}
}

func forgeries() []attack {
	rollup := attack{name: "roll the ledger up", as: mallory, want: refused, do: func(x *attacker) {
		x.send(&nats.Msg{Subject: "$KV.quota_ledger.default", Header: nats.Header{"Nats-Rollup": {"all"}}, Data: []byte(forged)})
	}}
	rows := []attack{
		rollup,
		publishing("write a commit", mallory, "$KV.quota_ledger.default"),
		publishing("write a commit as an operator", oscar, "$KV.quota_ledger.default"),
		publishing("take the lease", mallory, "$KV.quota_lease.default"),
		publishing("write a keyframe", oscar, "$KV.quota_keyframes.default.1.0"),
		publishing("write a suggestion", oscar, "$KV.quota_suggestions.default.x"),
		publishing("write an estimate", mallory, "$KV.quota_estimates.default"),
		publishing("forge an event", mallory, subjectOf(workspace, wire.KindEvent, victimName, "w", "reservation", "granted")),
		publishing("forge an event about oneself", mallory, subjectOf(workspace, wire.KindEvent, "mallory", "w", "reservation", "granted")),
		publishing("forge an event as an operator", oscar, subjectOf(workspace, wire.KindEvent, victimName, "w", "reservation", "granted")),
		publishing("forge an event as a viewer", vera, subjectOf(workspace, wire.KindEvent, victimName, "w", "reservation", "granted")),
		publishing("write a suggestion as a viewer", vera, "$KV.quota_suggestions.default.x"),
		publishing("forge a notice", mallory, subjectOf(workspace, wire.KindNotice, victimName, "w")),
		publishing("forge a notice as an operator", oscar, subjectOf(workspace, wire.KindNotice, victimName, "w")),
		publishing("write into another inbox", mallory, wire.InboxRoot+"."+workspace+"."+victimName+"."+stolen),
		publishing("write into an inbox of a service", oscar, wire.ServiceInboxRoot+".relay."+stolen),
		publishing("acknowledge for analytics", mallory, "$JS.ACK.KV_quota_ledger.analytics.1.1.1.1.1"),
		publishing("discover services as an agent", mallory, "$SRV.PING"),
		publishing("stop the server", oscar, "$SYS.REQ.SERVER.PING.SHUTDOWN"),
		publishing("reload the server", mallory, "$SYS.REQ.SERVER.X.RELOAD"),
		publishing("list connections", mallory, "$SYS.REQ.SERVER.PING.CONNZ"),
	}
	return rows
}

// api are direct calls of the JetStream API by principals.
func api() []attack {
	var rows []attack
	for _, call := range append(destructiveCalls(), "INFO", "STREAM.NAMES", "STREAM.MSG.GET.KV_quota_ledger", "STREAM.MSG.GET.KV_quota_estimates", "DIRECT.GET.KV_quota_suggestions") {
		for _, as := range []natsauth.Identity{mallory, oscar} {
			rows = append(rows, attack{name: string(as.Role) + " calls " + call, as: as, want: refused, do: func(x *attacker) {
				x.ask("$JS.API."+call, x.nc.NewInbox(), nil)
			}})
		}
	}
	return rows
}

// compromisedServices are connections of our own that try what is not their work.
func compromisedServices() []attack {
	try := func(role natsauth.Role, what, subject string) attack {
		return publishing("a compromised "+string(role)+" tries to "+what, service(role), subject)
	}
	listen := func(role natsauth.Role, what, subject string) attack {
		return attack{name: "a compromised " + string(role) + " tries to " + what, as: service(role), want: deaf,
			do: func(x *attacker) { x.spy(subject, "") }}
	}
	const ledger, event = "$KV.quota_ledger.default", "quota.v1.default.event.agents.w.reservation.granted"
	requests := subjectOf(workspace, wire.KindAgent, ">")
	return []attack{
		try(natsauth.RoleAllocatorFront, "write a commit", ledger),
		try(natsauth.RoleAllocatorFront, "purge the ledger", "$JS.API.STREAM.PURGE.KV_quota_ledger"),
		try(natsauth.RoleAllocatorFront, "forge an event", event),
		try(natsauth.RoleAllocatorFront, "write to a service", wire.ServiceInboxRoot+".allocator-store.x"),
		try(natsauth.RoleAllocatorStore, "answer a principal", wire.InboxRoot+".default.agents."+stolen),
		try(natsauth.RoleAllocatorStore, "purge the ledger", "$JS.API.STREAM.PURGE.KV_quota_ledger"),
		try(natsauth.RoleAllocatorStore, "delete the ledger", "$JS.API.STREAM.DELETE.KV_quota_ledger"),
		try(natsauth.RoleAllocatorStore, "delete a consumer", "$JS.API.CONSUMER.DELETE.KV_quota_ledger.analytics"),
		try(natsauth.RoleAllocatorStore, "replace a consumer", "$JS.API.CONSUMER.CREATE.KV_quota_ledger.relay.$KV.quota_ledger.>"),
		try(natsauth.RoleAllocatorStore, "read a consumer's messages", "$JS.API.CONSUMER.MSG.NEXT.KV_quota_ledger.relay"),
		try(natsauth.RoleAllocatorStore, "write an estimate", "$KV.quota_estimates.default"),
		listen(natsauth.RoleAllocatorStore, "hear requests", requests),
		try(natsauth.RoleRelay, "write a commit", ledger),
		try(natsauth.RoleRelay, "acknowledge for analytics", "$JS.ACK.KV_quota_ledger.analytics.1.1.1.1.1"),
		try(natsauth.RoleRelay, "purge events", "$JS.API.STREAM.PURGE.QUOTA_EVENTS"),
		listen(natsauth.RoleRelay, "hear requests", requests),
		try(natsauth.RoleAnalytics, "write a commit", ledger),
		try(natsauth.RoleAnalytics, "forge an event", event),
		try(natsauth.RoleAnalytics, "answer a principal", wire.InboxRoot+".default.agents."+stolen),
		try(natsauth.RoleAnalyticsFront, "write a commit", ledger),
		listen(natsauth.RoleAnalyticsFront, "hear requests to the allocator", requests),
		try(natsauth.RoleSuggestion, "write a commit", ledger),
		try(natsauth.RoleSuggestion, "forge an event of the ledger", event),
		try(natsauth.RoleNotification, "write a commit", ledger),
		try(natsauth.RoleNotification, "forge an event", event),
		try(natsauth.RoleNotification, "purge events", "$JS.API.STREAM.PURGE.QUOTA_EVENTS"),
		try(natsauth.RoleNotification, "read the ledger", "$JS.API.CONSUMER.CREATE.KV_quota_ledger.x.$KV.quota_ledger.>"),
		listen(natsauth.RoleNotification, "hear requests", requests),
		try(natsauth.RoleReader, "write a commit", ledger),
		try(natsauth.RoleReader, "write a suggestion", "$KV.quota_suggestions.default.x"),
		try(natsauth.RoleReader, "write an estimate", "$KV.quota_estimates.default"),
		try(natsauth.RoleReader, "purge the ledger", "$JS.API.STREAM.PURGE.KV_quota_ledger"),
		try(natsauth.RoleReader, "reset a consumer", "$JS.API.CONSUMER.RESET.KV_quota_ledger.analytics"),
		try(natsauth.RolePage, "write a commit", ledger),
		try(natsauth.RolePage, "write a suggestion", "$KV.quota_suggestions.default.x"),
		try(natsauth.RolePage, "forge an event", event),
		try(natsauth.RolePage, "read the ledger", "$JS.API.STREAM.MSG.GET.KV_quota_ledger"),
		try(natsauth.RolePage, "purge events", "$JS.API.STREAM.PURGE.QUOTA_EVENTS"),
		listen(natsauth.RolePage, "hear requests", requests),
		try(natsauth.RoleMaintenance, "write a commit", ledger),
		try(natsauth.RoleMaintenance, "delete the ledger", "$JS.API.STREAM.DELETE.KV_quota_ledger"),
		try(natsauth.RoleProvisioning, "purge the ledger", "$JS.API.STREAM.PURGE.KV_quota_ledger"),
		try(natsauth.RoleProvisioning, "delete the ledger", "$JS.API.STREAM.DELETE.KV_quota_ledger"),
		try(natsauth.RoleProvisioning, "write a commit", ledger),
	}
}
