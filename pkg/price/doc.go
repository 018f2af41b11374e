// Package price knows what model tokens cost, and since when.
//
// A [Catalogue] is a dated list of prices in micro-USD per million tokens, one price per token class.
// The built-in one ([Default]) is data, embedded from prices.csv; an operator's configuration can
// replace the price of a model or add one ([Catalogue.WithOverrides]). Money is integer throughout;
// the arithmetic of a cost lives in [quota.Rate].
//
// # Guarantees
//
//   - The price of an event is the price at the event's time, whenever it is asked for.
//   - A model that is not in the catalogue, a time in which it has no price, and a batch call of a
//     model without a published batch price are ok=false, never a price of 0.
//   - A catalogue never changes after it was made; it may be shared between goroutines.
//
// # Names
//
// A name is looked up by these rules, in this order; the first that finds a row wins.
//
//  1. Upper case is lowered, one of the prefixes "anthropic/" and "openai/" is cut off, and so is a
//     context marker "[1m]" at the end.
//  2. The name as it stands.
//  3. The name in the table of second names (aliases.csv), e.g. claude-4-sonnet for claude-sonnet-4.
//  4. The name without its snapshot date (-20250929, -2025-08-07) or "-latest", by rules 2 and 3.
//
// A snapshot whose price differs from its family's has a row of its own, which rule 2 finds first.
// Prices of resellers (Bedrock, Vertex, Azure) differ and are not covered: their names, which carry
// other prefixes, are unknown until an override names them.
//
// # What callers must tolerate
//
// [Catalogue.Rate] is the ordinary price of a call: no batch discount and no long-context surcharge.
// [Catalogue.Lookup] gives both where the caller knows them of a call. The surcharge of priority and
// fast modes, the discount of flex processing, regional multipliers and the price of server tools are
// not in the catalogue: a bill that contains them is higher or lower than what is computed here.
// Prices are as published on the date in prices.csv; later changes come by an override.
package price
