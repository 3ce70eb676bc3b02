import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { isHealthy, SILENCE_MS_MAX, watchHead } from "./head-watch.ts";

/** Its timer's step. */
const STEP_MS = 2_000;

/** A watch by a clock of the test's own; `look` moves it on. */
function watched(ask: () => Promise<boolean>): {
  readonly said: string[];
  readonly look: (ms?: number) => Promise<void>;
} & Disposable {
  let nowMs = 0;
  const said: string[] = [];
  const watch = watchHead({ ask, onStuck: (reason) => said.push(reason), now: () => nowMs });
  return {
    said,
    async look(ms = STEP_MS) {
      nowMs += ms;
      watch.look();
      // What it asks is answered.
      await new Promise((done) => setImmediate(done));
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}

test("an engine that answers is let be", async () => {
  using watch = watched(() => Promise.resolve(true));
  for (let step = 0; step < 100; step += 1) await watch.look();
  expect(watch.said).toEqual([]);
});

test("one that stops answering is stuck after the limit, which is told once", async () => {
  let answers = true;
  using watch = watched(() => (answers ? Promise.resolve(true) : Promise.reject(new Error("no answer"))));
  await watch.look();
  answers = false;
  const steps = SILENCE_MS_MAX / STEP_MS;
  for (let step = 1; step < steps; step += 1) await watch.look();
  expect(watch.said).toEqual([]);
  for (let step = 0; step < 5; step += 1) await watch.look();
  expect(watch.said).toEqual(["it has answered nothing for 20.0 s"]);
});

test("a node that was held up itself blames nobody", async () => {
  using watch = watched(() => Promise.resolve(false));
  for (let step = 0; step < 5; step += 1) await watch.look();
  await watch.look(300_000);
  expect(watch.said).toEqual([]);
});

test("one that takes connections but does not answer is not healthy, one that answers is", async () => {
  let answers = true;
  const server = createServer((_request, response) => {
    if (answers) response.end('{"status":"ok"}');
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  expect(await isHealthy(port, AbortSignal.timeout(10_000))).toBe(true);
  answers = false;
  await expect(isHealthy(port, AbortSignal.timeout(50))).rejects.toThrow(/./);
  server.closeAllConnections();
  server.close();
});
