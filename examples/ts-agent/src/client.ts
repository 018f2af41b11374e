// A small client: one request id for all tries of a request, retries that span an election, notices, and a helper that
// closes what it reserved on every way out.

import { errors, type NatsConnection } from "@nats-io/transport-node";
import {
  BursarError,
  encodeToken,
  newRequestId,
  Unanswered,
  type Estimate,
  type Notice,
  type Refusal,
  type Reservation,
  type Status,
  type Tokens,
  type UsageItem,
} from "./protocol.js";

const TRY_MS = 3_000;
const PATIENCE_MS = 20_000; // an election takes up to 15 s
const FIRST_PAUSE_MS = 40;
const LAST_PAUSE_MS = 1_000;
const LEASE_MS = 60_000;

export interface ReserveRequest {
  request_id?: string;
  provider?: string;
  account?: string;
  model?: string;
  task_type?: string;
  complexity?: string;
  files?: number;
  estimated_tokens?: number;
  priority?: string;
  tokens?: Tokens;
  lease_ms?: number;
}

/** inboxPrefix is where a principal's replies arrive; the connection must be made with it. */
export function inboxPrefix(workspace: string, principal: string): string {
  return `_INBOX.${encodeToken(workspace)}.${encodeToken(principal)}`;
}

export class Agent {
  readonly #prefix: string;
  #toAcknowledge: number[] = [];

  constructor(
    readonly connection: NatsConnection,
    workspace: string,
    principal: string,
    readonly name: string,
    readonly onNotice: (notice: Notice) => void = () => {},
  ) {
    this.#prefix = `quota.v1.${encodeToken(workspace)}.agent.${encodeToken(principal)}.${encodeToken(name)}.`;
  }

  estimate = (request: object) => this.#ask<Estimate>("estimate", request);
  status = () => this.#ask<Status>("status", {});
  reserve = (request: ReserveRequest) => this.#change<Reservation>("reserve", request);
  report = (request: { reservation_id: string; usage?: UsageItem[]; account?: string; model?: string }) =>
    this.#change<Reservation>("report", request);
  extend = (request: { reservation_id: string; tokens?: Tokens; ttl_ms?: number }) =>
    this.#change<Reservation>("extend", request);
  settle = (request: { reservation_id: string; usage?: UsageItem[] }) => this.#change<Reservation>("settle", request);
  release = (request: { reservation_id: string; reason?: string }) => this.#change<Reservation>("release", request);
  observe = (request: object) => this.#change<object>("observe", request);

  /** reserveWait asks again, each time with a new request id, for as long as the refusal is retryable. */
  async reserveWait(request: ReserveRequest): Promise<Reservation> {
    for (;;) {
      try {
        return await this.reserve(request);
      } catch (err) {
        if (!(err instanceof BursarError) || !err.refusal.retryable) throw err;
        await pause(Math.max(err.refusal.retry_after_ms ?? 0, LAST_PAUSE_MS));
      }
    }
  }

  /**
   * run reserves, renews the lease while work runs, and settles or releases on every way out. A refusal of the settle that
   * only says that more was used than reserved is not an error: all of it is recorded, and the work has seen it.
   */
  async run(request: ReserveRequest, work: (task: Task) => Promise<void>): Promise<void> {
    const leaseMs = request.lease_ms ?? LEASE_MS;
    const task = new Task(this, await this.reserve({ ...request, lease_ms: leaseMs }));
    const renewal = setInterval(() => void task.report().catch(() => {}), leaseMs / 3); // the next one tries again
    try {
      await work(task);
      task.worked = true;
    } finally {
      clearInterval(renewal);
      await task.close();
    }
  }

  /** #change sends a request that changes the ledger: it has one id for all of its tries. */
  #change<Reply>(verb: string, request: object): Promise<Reply> {
    return this.#ask<Reply>(verb, { request_id: newRequestId(), ...request });
  }

  async #ask<Reply>(verb: string, request: object): Promise<Reply> {
    const acks = this.#toAcknowledge.slice(0, 100);
    const body = JSON.stringify(acks.length > 0 ? { ...request, ack_notices: acks } : request);
    const requestId = (request as { request_id?: string }).request_id;
    const end = Date.now() + PATIENCE_MS;
    for (let span = FIRST_PAUSE_MS; ; span = Math.min(span * 2, LAST_PAUSE_MS)) {
      let wait = span / 2 + (Math.random() * span) / 2;
      let cause: unknown;
      try {
        const answer = await this.connection.request(this.#prefix + verb, body, { timeout: TRY_MS });
        const reply = answer.json<Reply & { error?: Refusal; notices?: Notice[] }>();
        this.#heard(acks, reply.notices ?? []);
        if (reply.error === undefined) return reply;
        if (!undecided(reply.error)) throw new BursarError(reply.error);
        wait = Math.max(wait, reply.error.retry_after_ms ?? 0);
        cause = reply.error;
      } catch (err) {
        if (!isSilence(err)) throw err;
        cause = err;
      }
      if (Date.now() + wait > end) throw new Unanswered(verb, requestId, cause);
      await pause(wait);
    }
  }

  /** #heard tells of new notices, and remembers to acknowledge them with the next request. */
  #heard(acknowledged: number[], notices: Notice[]): void {
    const pending = new Set(notices.map((notice) => notice.id));
    this.#toAcknowledge = this.#toAcknowledge.filter((id) => pending.has(id) || !acknowledged.includes(id));
    for (const notice of notices) {
      if (notice.id === undefined || this.#toAcknowledge.includes(notice.id)) continue;
      this.#toAcknowledge.push(notice.id);
      this.onNotice(notice);
    }
  }
}

/** A reservation while the work runs. */
export class Task {
  worked = false;

  constructor(
    readonly agent: Agent,
    public reservation: Reservation,
  ) {}

  get id(): string {
    return this.reservation.reservation_id;
  }

  /** report records usage and waits as long as limits per minute demand. */
  async report(...usage: UsageItem[]): Promise<void> {
    this.reservation = await this.agent.report({ reservation_id: this.id, usage });
    if (this.reservation.retry_after_ms !== undefined) await pause(this.reservation.retry_after_ms);
  }

  async extend(tokens: Tokens): Promise<void> {
    this.reservation = await this.agent.extend({ reservation_id: this.id, tokens });
  }

  async close(): Promise<void> {
    if (!this.worked && this.reservation.used === undefined) {
      await this.agent.release({ reservation_id: this.id, reason: "the work failed before it used anything" });
      return;
    }
    try {
      this.reservation = await this.agent.settle({ reservation_id: this.id });
    } catch (err) {
      if (!(err instanceof BursarError) || err.code !== "allocation_exceeded") throw err;
    }
  }
}

/** undecided tells whether the same request is to be sent again. */
function undecided(refusal: Refusal): boolean {
  return refusal.code === "unavailable" && refusal.retryable && refusal.decided !== true;
}

/** isSilence tells whether nobody answered, which leaves open what became of the request. */
function isSilence(err: unknown): boolean {
  return (
    err instanceof errors.TimeoutError ||
    err instanceof errors.NoRespondersError ||
    (err instanceof errors.RequestError && (err.isNoResponders() || err.cause instanceof errors.TimeoutError))
  );
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
