import { strictEqual, match } from "node:assert";
import { test } from "node:test";
import { encodeToken, newRequestId } from "./protocol.js";

test("names become tokens", () => {
  for (const [name, token] of [
    ["ci", "ci"],
    ["reviewer.1", "reviewer=2E1"],
    ["_x_y", "=5Fx_y"],
    ["", "="],
    ["a b", "a=20b"],
    ["é", "=C3=A9"],
  ] as const) {
    strictEqual(encodeToken(name), token);
  }
});

test("request ids are UUIDv7 of their time", () => {
  const id = newRequestId(1_772_357_400_000);
  match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  strictEqual(parseInt(id.replaceAll("-", "").slice(0, 12), 16), 1_772_357_400_000);
});
