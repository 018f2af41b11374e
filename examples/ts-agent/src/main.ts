// An agent in TypeScript that does everything an agent does with Bursar. It ends with status 0 only if all of it went as
// it should. It needs a running Bursar with the configuration examples/bursar.yaml, and takes from the environment:
//
//	BURSAR_SERVER     the URL of the NATS server
//	BURSAR_NKEY       a file with the nkey seed of the principal
//	BURSAR_WORKSPACE  default "default"
//	BURSAR_PRINCIPAL  default "examples"

import { readFileSync } from "node:fs";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";
import { run } from "./agent.js";
import { Agent, inboxPrefix } from "./client.js";

const { BURSAR_SERVER: servers, BURSAR_NKEY: nkey, BURSAR_WORKSPACE: workspace = "default", BURSAR_PRINCIPAL: principal = "examples" } = process.env;
if (servers === undefined) throw new Error("name the server in BURSAR_SERVER");

const connection = await connect({
  servers,
  name: "ts-agent",
  inboxPrefix: inboxPrefix(workspace, principal),
  ...(nkey === undefined ? {} : { authenticator: nkeyAuthenticator(seedOf(readFileSync(nkey, "utf8"))) }),
});
try {
  await run(
    new Agent(connection, workspace, principal, "ts-agent", (notice) => {
      console.log(`ts-agent is told that ${notice.reservation_id} is ${notice.kind}`);
    }),
  );
  console.log("ts-agent: the whole line worked");
} finally {
  await connection.close();
}

/** seedOf finds the seed in a file that may hold other lines too. */
function seedOf(text: string): Uint8Array {
  const seed = text.split(/\s+/).find((line) => line.startsWith("SU"));
  if (seed === undefined) throw new Error("the nkey file has no seed of a user");
  return new TextEncoder().encode(seed);
}
