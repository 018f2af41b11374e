// Package natsauth says who may do what on NATS: one table, from which deployments/nats.conf is
// generated and by which the embedded server runs, so that the rules are the same everywhere and
// always exercised.
//
// It guarantees that a principal (an agent's or an operator's credentials) can publish under its own
// name only, and read its own inbox, notices and events only; that no service may do more than its
// work; and that nobody is allowed to answer wherever a request asks (no allow_responses). Seeds are
// generated where they are used, with mode 0600, and are never part of a generated configuration.
//
// # Trust that goes with JetStream
//
// The server checks what a client publishes to, but not which reply subject it names, and JetStream
// answers there with the server's own rights. Measured on server 2.15.2: who may pull from any
// consumer can have the empty "no messages" answer delivered to $JS.API.STREAM.PURGE.<stream>, and the
// stream is purged. So any right below $JS.API amounts to trust with every stream of the account.
// Principals therefore have none at all. Our services have the few they need, and of those the ones
// that answer strangers do so on a second connection that has none either. Reading the streams by hand
// (the history of events, suggestions, the ledger's log) takes the reader's credentials, which belong
// to whoever runs the system.
package natsauth

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/bursarhq/bursar/pkg/wire"
)

// Role is a row of the permission table.
type Role string

// The roles. Agent, operator and viewer are principals of a workspace, the others are connections of our
// own services and tools.
const (
	// RoleAgent: whoever runs agents. Sends agent requests under its own name.
	RoleAgent Role = "agent"
	// RoleOperator: a person who administers a workspace. Everything an agent may, admin requests,
	// queries, and all events of the workspace as they happen.
	RoleOperator Role = "operator"
	// RoleViewer: whoever looks on, such as the page. Asks how everything stands and what was spent, hears the
	// events of the workspace as they happen, and changes nothing.
	RoleViewer Role = "viewer"

	// RoleAllocatorFront answers agents and operators, and pushes notices. It touches no stream.
	RoleAllocatorFront Role = "allocator-front"
	// RoleAllocatorStore reads and writes ledger, keyframes and lease. It hears no request.
	RoleAllocatorStore Role = "allocator-store"
	// RoleRelay turns commits into public events.
	RoleRelay Role = "relay"
	// RoleAnalytics reads commits into ClickHouse.
	RoleAnalytics Role = "analytics"
	// RoleAnalyticsFront answers queries. It touches no stream.
	RoleAnalyticsFront Role = "analytics-front"
	// RoleSuggestion reads commits, publishes suggestions and keeps the current ones.
	RoleSuggestion Role = "suggestion"
	// RoleNotification reads public events through consumers of its own and tells endpoints.
	RoleNotification Role = "notification"
	// RoleReader reads streams by hand: events of the past, suggestions, the ledger's log.
	RoleReader Role = "reader"
	// RolePage reads the history of events and the suggestions for the page.
	RolePage Role = "page"
	// RoleMaintenance trims the ledger and removes old keyframes.
	RoleMaintenance Role = "maintenance"
	// RoleProvisioning makes streams, buckets and consumers. No service holds it.
	RoleProvisioning Role = "provisioning"
)

// ServiceRoles returns the roles of our own services and tools, in the order of the table.
func ServiceRoles() []Role {
	return []Role{
		RoleAllocatorFront, RoleAllocatorStore, RoleRelay, RoleAnalytics, RoleAnalyticsFront,
		RoleSuggestion, RoleNotification, RoleReader, RolePage, RoleMaintenance, RoleProvisioning,
	}
}

func principalRoles() []Role { return []Role{RoleAgent, RoleOperator, RoleViewer} }

func (r Role) principal() bool { return slices.Contains(principalRoles(), r) }

func (r Role) service() bool { return slices.Contains(ServiceRoles(), r) }

// ErrIdentity: an identity that is none: an unknown role, a principal without a name, a service with one.
var ErrIdentity = errors.New("invalid identity")

// Identity is somebody who may connect.
type Identity struct {
	Role Role
	// Workspace and Principal name a principal's credentials; empty for services.
	Workspace, Principal string
}

// Agent returns the identity of a principal that runs agents.
func Agent(workspace, principal string) Identity { return Identity{RoleAgent, workspace, principal} }

// Operator returns the identity of an operator.
func Operator(workspace, principal string) Identity {
	return Identity{RoleOperator, workspace, principal}
}

// Viewer returns the identity of a principal that looks on.
func Viewer(workspace, principal string) Identity { return Identity{RoleViewer, workspace, principal} }

// Service returns the identity of one of our own services' connections.
func Service(role Role) Identity { return Identity{Role: role} }

// Validate returns [ErrIdentity] or wire.ErrName when the identity is not one that may exist.
func (id Identity) Validate() error {
	switch {
	case id.Role.service():
		if id.Workspace != "" || id.Principal != "" {
			return fmt.Errorf("%w: role %s belongs to no workspace or principal", ErrIdentity, id.Role)
		}
		return nil
	case !id.Role.principal():
		return fmt.Errorf("%w: unknown role %q", ErrIdentity, id.Role)
	case id.Workspace == "" || id.Principal == "":
		return fmt.Errorf("%w: role %s needs a workspace and a principal", ErrIdentity, id.Role)
	}
	_, err := wire.InboxPrefix(id.Workspace, id.Principal)
	return err
}

// String returns the identity for people: "relay", or "agent ci of acme".
func (id Identity) String() string {
	if id.Role.service() {
		return string(id.Role)
	}
	return fmt.Sprintf("%s %s of %s", id.Role, id.Principal, id.Workspace)
}

// InboxPrefix returns the prefix of the inboxes that the identity has to connect with: it may
// subscribe to no others.
func (id Identity) InboxPrefix() (string, error) {
	if err := id.Validate(); err != nil {
		return "", err
	}
	if id.Role.service() {
		return wire.ServiceInboxPrefix(string(id.Role))
	}
	return wire.InboxPrefix(id.Workspace, id.Principal)
}

// Permissions are the subjects an identity may publish and subscribe to. A denial beats what is allowed.
type Permissions struct {
	Publish, DenyPublish []string
	Subscribe            []string
}

// server returns the permissions in the form of the embedded server. An empty list must deny
// everything, while the server takes it as no restriction.
func (p Permissions) server() *server.Permissions {
	limit := func(allow, deny []string) *server.SubjectPermission {
		if len(allow) == 0 {
			return &server.SubjectPermission{Deny: []string{">"}}
		}
		return &server.SubjectPermission{Allow: allow, Deny: deny}
	}
	return &server.Permissions{Publish: limit(p.Publish, p.DenyPublish), Subscribe: limit(p.Subscribe, nil)}
}
