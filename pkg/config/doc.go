// Package config reads what an operator decides: providers, accounts, limits, principals, prices and
// policy, from YAML (or JSON, which is YAML) into a [quota.Config].
//
// A file is checked against schemas/v1/config.schema.json and then for what a schema cannot say:
// references, duplicates, zones, budgets that nothing can teach. [Parse] reports every fault at once,
// each with line, column, the place in the document and what to write instead ([Faults]); a file with
// a fault yields no configuration at all.
//
// # Guarantees
//
//   - A [Config] that Parse returned refers only to teams, providers, tiers, model groups and accounts
//     that it contains; ids and names are unique; every limit has a capacity or can learn one.
//   - The result depends on the bytes alone: no clock, no environment, no files; except that a zone newer
//     than the zone database inside the program is known where the machine knows it.
//   - Hostile input costs bounded time and memory: size, depth and counts are limited, aliases are refused.
//
// # Providers
//
// Providers are data. The built-in claude and openai rows (providers.yaml) name model groups, plans and
// usage tiers; a file adds further providers in the same form, or changes a built-in one by name. An
// account on a tier inherits the tier's limits; what its own limits state replaces what they inherit.
//
// # What callers must tolerate
//
// Subscription plans publish no token figures, so the capacities of the built-in plans are placeholders,
// marked as such in providers.yaml, until the operator states better ones or observations teach them.
package config
