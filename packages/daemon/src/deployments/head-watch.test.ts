import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { fc, test as property } from "@fast-check/vitest";
import type { ProcessActivity } from "@clusterd/engine";
import { isHealthy, LIFELESS_MS, SILENCE_MS_MAX, STARVED_MS_MAX, stuckReason, watchHead } from "./head-watch.ts";

/** Its timer's step. */
const STEP_MS = 2_000;

/** A watch by a clock of the test's own; `look` moves it on. */
function watched(
  ask: () => Promise<boolean>,
  activity?: () => ProcessActivity | null,
): {
  readonly said: string[];
  readonly look: (ms?: number) => Promise<void>;
} & Disposable {
  let nowMs = 0;
  const said: string[] = [];
  const watch = watchHead({
    ask,
    ...(activity === undefined ? {} : { activity: () => Promise.resolve(activity()) }),
    onStuck: (reason) => said.push(reason),
    now: () => nowMs,
  });
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

/** An engine that answers nothing, and how its process looks from look to look. */
async function silentFor(ms: number, next: (look: number) => ProcessActivity | null): Promise<readonly string[]> {
  let look = 0;
  using watch = watched(
    () => Promise.resolve(false),
    () => next((look += 1)),
  );
  for (let passed = 0; passed < ms; passed += STEP_MS) await watch.look();
  return watch.said;
}

const asleep = (cpuMs: number): ProcessActivity => ({ stopped: false, runnable: false, cpuMs });

test("a starved engine, which wants to compute and hardly may, is let be for two minutes", async () => {
  const starved = (look: number): ProcessActivity => ({ stopped: false, runnable: true, cpuMs: 30 * look });
  expect(await silentFor(STARVED_MS_MAX - STEP_MS, starved)).toEqual([]);
  expect(await silentFor(STARVED_MS_MAX, starved)).toEqual([expect.stringContaining("answered nothing for 120.0 s; it had")]);
});

test("one whose threads were all asleep when they were looked at, but which computes, is let be", async () => {
  expect(await silentFor(STARVED_MS_MAX - STEP_MS, (look) => asleep(25 * look))).toEqual([]);
});

test("one that is stopped is stuck at the limit, whatever it did before", async () => {
  const stopped = (): ProcessActivity => ({ stopped: true, runnable: false, cpuMs: 100 });
  expect(await silentFor(SILENCE_MS_MAX - STEP_MS, stopped)).toEqual([]);
  expect(await silentFor(SILENCE_MS_MAX, stopped)).toEqual(["it has answered nothing for 20.0 s: its process was stopped"]);
});

test("one that sleeps is stuck at the limit, though its other threads still take connections", async () => {
  expect(await silentFor(SILENCE_MS_MAX - STEP_MS, () => asleep(500))).toEqual([]);
  expect(await silentFor(SILENCE_MS_MAX, () => asleep(500))).toEqual(["it has answered nothing for 20.0 s and does nothing"]);
  expect(await silentFor(SILENCE_MS_MAX, (look) => asleep(500 + look))).toHaveLength(1);
});

test("one that computes as much as it likes and answers nothing runs in a circle: stuck at the limit", async () => {
  const spins = (look: number): ProcessActivity => ({ stopped: false, runnable: true, cpuMs: 1900 * look });
  expect(await silentFor(SILENCE_MS_MAX, spins)).toEqual([
    expect.stringMatching(/^it has answered nothing for 20.0 s, though it had/),
  ]);
});

test("where the system does not tell, silence alone counts", async () => {
  expect(await silentFor(SILENCE_MS_MAX, () => null)).toEqual(["it has answered nothing for 20.0 s"]);
});

test("an answer however late ends a silence", async () => {
  let answer = Promise.withResolvers<boolean>();
  using watch = watched(
    () => answer.promise,
    () => asleep(500),
  );
  for (let times = 0; times < 5; times += 1) {
    for (let passed = 0; passed < SILENCE_MS_MAX - STEP_MS; passed += STEP_MS) await watch.look();
    answer.resolve(true);
    await answer.promise;
    answer = Promise.withResolvers();
  }
  expect(watch.said).toEqual([]);
});

const silence = fc.record({
  silentMs: fc.nat({ max: 2 * STARVED_MS_MAX }),
  lifelessMs: fc.option(fc.nat({ max: 2 * STARVED_MS_MAX })),
  cpuMs: fc.nat({ max: 2 * STARVED_MS_MAX }),
  stopped: fc.boolean(),
});

property.prop([silence])("nobody is stuck before the limit, nobody that lives not at all is let be after it", (given) => {
  const reason = stuckReason(given);
  if (given.silentMs < SILENCE_MS_MAX) expect(reason).toBeNull();
  else if (given.stopped || given.lifelessMs === null || given.lifelessMs >= LIFELESS_MS) expect(reason).not.toBeNull();
  if (given.silentMs >= STARVED_MS_MAX) expect(reason).not.toBeNull();
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
