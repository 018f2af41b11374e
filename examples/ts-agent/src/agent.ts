// The same agent as examples/go-agent: the work of a day, and then every kind of refusal.

import { deepStrictEqual, ok, strictEqual } from "node:assert";
import { Agent } from "./client.js";
import { BursarError, newRequestId, type Code, type UsageItem } from "./protocol.js";

const provider = "claude";
const account = "example-api";
const model = "claude-sonnet-4-5";

export async function run(agent: Agent): Promise<void> {
  await work(agent);
  await overrun(agent);
  await refusals(agent);
  await later(agent);
  await afterwards(agent);
  await subscription(agent);
  await repeat(agent);
  await failure(agent);
  const status = await agent.status();
  deepStrictEqual(status.reservations ?? [], [], "a reservation is still open");
}

/** The usual case: estimate, reserve, report as the work goes, extend, settle. */
async function work(agent: Agent): Promise<void> {
  const estimate = await agent.estimate({ task_type: "code_review", files: 12, model });
  console.log(`estimate: ${estimate.total_tokens} tokens, ${estimate.cost_micro_usd} micro-USD`);
  const { tokens, priority, total_tokens: estimated_tokens } = estimate;
  await agent.run({ account, model, task_type: "code_review", files: 12, estimated_tokens, tokens, priority }, async (task) => {
    console.log("reserved:", task.id);
    const call = newCall();
    // A streaming call is reported as often as one likes: under its call id the figures are cumulative.
    for (const output of [100, 450, 800]) await task.report(used(call, 5200, output));
    await task.extend({ output: 2000 });
    await task.report(used(newCall(), 300, 1500));
    deepStrictEqual(task.reservation.used?.tokens, { input: 5500, output: 2300 });
  });
}

/** More is used than reserved. All of it is recorded; the agent extends before it goes on. */
async function overrun(agent: Agent): Promise<void> {
  await agent.run({ account, model, tokens: { output: 1000 } }, async (task) => {
    const refusal = await refused("allocation_exceeded", task.report(used(newCall(), 0, 1400)));
    ok(refusal.recorded);
    await task.extend({ output: refusal.details!.requested! - refusal.details!.allocated! });
  });
}

/** Terminal refusals: the same will be refused again. The agent gives up, or asks for something else. */
async function refusals(agent: Agent): Promise<void> {
  const terminal: [Code, object][] = [
    ["invalid", { account, model, tokens: { input: -1 } }],
    ["invalid", { account, modle: model }],
    ["provider_not_supported", { provider: "nobody", model }],
    ["subscription_info_unavailable", { account: "nobody", model }],
    ["insufficient_quota", { account, provider, model, tokens: { input: 2_000_000 } }],
  ];
  for (const [code, request] of terminal) {
    const refusal = await refused(code, agent.reserve(request));
    strictEqual(refusal.retryable, false, refusal.message);
  }
}

/** A refusal that passes: the agent waits, and asks again with a new request id. */
async function later(agent: Agent): Promise<void> {
  const request = { account, model, tokens: { input: 10 } };
  const first = await agent.reserve(request);
  const refusal = await refused("concurrent_limit_exceeded", agent.reserve(request));
  ok(refusal.retryable && refusal.decided);
  await agent.release({ reservation_id: first.reservation_id, reason: "make room" });
  const second = await agent.reserveWait(request);
  await agent.release({ reservation_id: second.reservation_id });
}

/** Usage that comes too late, or that nobody reserved, is recorded all the same. */
async function afterwards(agent: Agent): Promise<void> {
  const { reservation_id } = await agent.reserve({ account, model, tokens: { input: 10 } });
  await agent.settle({ reservation_id });
  const late = await refused("closed", agent.report({ reservation_id, usage: [used(newCall(), 7, 0)] }));
  ok(late.recorded);
  const unknown = await refused(
    "allocation_not_found",
    agent.report({ reservation_id: "long-forgotten", account, model, usage: [used(newCall(), 7, 0)] }),
  );
  ok(unknown.recorded);
}

/** A plan of which nothing is known: the agent hands in what the provider says of it, and asks again. */
async function subscription(agent: Agent): Promise<void> {
  const plan = `${agent.name}-plan`;
  const request = { account: plan, model, tokens: { input: 10 } };
  let granted;
  try {
    granted = await agent.reserve(request);
  } catch (err) {
    if (!(err instanceof BursarError) || err.code !== "subscription_info_unavailable") throw err;
    console.log("refused:", err.refusal.message);
    const resets_at = new Date(Date.now() + 4 * 3_600_000).toISOString();
    await agent.observe({ account: plan, window: "session", used_percent: 12.5, resets_at, source: "ts-agent" });
    granted = await agent.reserve(request);
  }
  await agent.release({ reservation_id: granted.reservation_id });
}

/** The same request again, as after a lost reply, is answered the same and done once. */
async function repeat(agent: Agent): Promise<void> {
  const request = { request_id: newRequestId(), account, model, tokens: { input: 10 } };
  const first = await agent.reserve(request);
  const again = await agent.reserve(request);
  strictEqual(again.reservation_id, first.reservation_id);
  await refused("conflict", agent.reserve({ ...request, tokens: { input: 11 } }));
  await agent.release({ reservation_id: first.reservation_id });
}

/** Work that fails is released, and its error comes through. */
async function failure(agent: Agent): Promise<void> {
  const failed = new Error("the work failed");
  const outcome = await agent
    .run({ account, model, tokens: { input: 10 } }, async () => {
      throw failed;
    })
    .catch((err: unknown) => err);
  strictEqual(outcome, failed);
}

/** used is what the provider says of one call. */
function used(call_id: string, input: number, output: number): UsageItem {
  return { call_id, tokens: { input, output } };
}

/** newCall stands for the request id that a provider gives to a call. */
function newCall(): string {
  return `msg_${newRequestId()}`;
}

/** refused waits for the refusal that is expected. */
async function refused(code: Code, request: Promise<unknown>) {
  const outcome = await request.catch((err: unknown) => err);
  if (!(outcome instanceof BursarError)) throw outcome instanceof Error ? outcome : new Error(`expected ${code}, but it was granted`);
  strictEqual(outcome.code, code, outcome.message);
  console.log("refused:", outcome.refusal.message);
  return outcome.refusal;
}
