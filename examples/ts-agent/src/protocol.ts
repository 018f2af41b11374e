// What goes over the wire, as far as this agent needs it. schemas/v1 has all of it, and schemas/PROTOCOL.md the rules.

import { randomBytes } from "node:crypto";

/** Token counts by class. The classes do not overlap. */
export interface Tokens {
  input?: number;
  cache_read?: number;
  cache_write_5m?: number;
  cache_write_1h?: number;
  output?: number;
}

/** The actual usage of one provider call. With a call_id the tokens are cumulative, without it a difference. */
export interface UsageItem {
  occurred_at?: string;
  call_id?: string;
  model?: string;
  tokens?: Tokens;
  requests?: number;
}

export interface Amount {
  tokens?: Tokens;
  requests?: number;
}

/** How a reservation stands. */
export interface Reservation {
  reservation_id: string;
  account?: string;
  granted?: Amount;
  used?: Amount;
  returned?: Amount;
  cost_held_micro_usd?: number;
  expires_at?: string;
  outcome?: string;
  /** How long to wait before the next provider call. */
  retry_after_ms?: number;
}

export interface Estimate {
  tokens: Tokens;
  total_tokens: number;
  priority: string;
  cost_micro_usd?: number;
}

export interface Status {
  reservations?: Reservation[];
}

/** Something an agent must learn; it comes with every reply until it is acknowledged. */
export interface Notice {
  id?: number;
  kind: string;
  reservation_id?: string;
  reason?: string;
}

export type Code =
  | "invalid"
  | "provider_not_supported"
  | "insufficient_quota"
  | "concurrent_limit_exceeded"
  | "allocation_not_found"
  | "allocation_exceeded"
  | "closed"
  | "subscription_info_unavailable"
  | "conflict"
  | "unavailable"
  | "internal";

/** A refusal as it is on the wire. */
export interface Refusal {
  code: Code;
  message: string;
  /** The same may succeed later. */
  retryable: boolean;
  retry_after_ms?: number;
  /** The usage in the request is in the ledger all the same. */
  recorded?: boolean;
  /** The same request id gets this answer for ever; to ask again, make a new one. */
  decided?: boolean;
  details?: { limit_id?: string; requested?: number; available?: number; allocated?: number; reservation?: Reservation };
}

/** A refusal as an error. */
export class BursarError extends Error {
  constructor(readonly refusal: Refusal) {
    super(`${refusal.code}: ${refusal.message}`);
    this.name = "BursarError";
  }
  get code(): Code {
    return this.refusal.code;
  }
}

/** Nobody decided in time. The same request with the same id tells what became of it. */
export class Unanswered extends Error {
  constructor(verb: string, readonly requestId: string | undefined, cause: unknown) {
    super(`${verb}: no decision in time; ask again with request id ${requestId ?? "(none)"}`, { cause });
    this.name = "Unanswered";
  }
}

/** encodeToken makes one token of a subject out of a name: see PROTOCOL.md, section 3. */
export function encodeToken(name: string): string {
  if (name === "") return "=";
  let token = "";
  for (const byte of Buffer.from(name, "utf8")) {
    const char = String.fromCharCode(byte);
    const plain = /[A-Za-z0-9_-]/.test(char) && !(char === "_" && token === "");
    token += plain ? char : "=" + byte.toString(16).toUpperCase().padStart(2, "0");
  }
  return token;
}

/** newRequestId makes a UUIDv7: 48 bits of milliseconds, then randomness. */
export function newRequestId(now = Date.now()): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
