// Mutated frames through both ends of the RPC relay: none may do more than end its own connection, and memory must not grow.
// Usage: node scripts/fuzz-relay.ts [--frames N] [--seed N]
import { parseArgs } from "node:util";
import { fuzzRelay } from "../packages/engine/src/rpc/testing/fuzz.ts";

const { values } = parseArgs({ options: { frames: { type: "string", default: "1000000" }, seed: { type: "string" } } });
const frames = Number(values.frames);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
/** Growth beyond what a garbage collector leaves lying about is a leak. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;

const rss = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().rss;
};
await fuzzRelay({ frames: Math.ceil(frames / 10), seed: seed + 1 });
const before = rss();
const started = performance.now();
const result = await fuzzRelay({ frames, seed });
const grown = rss() - before;
const seconds = (performance.now() - started) / 1000;
console.log(
  `seed ${seed}: ${result.frames} frames in ${seconds.toFixed(1)} s, ${result.passed} taken, ${result.refused} connections ended, ` +
    `memory ${grown >= 0 ? "+" : ""}${(grown / 1e6).toFixed(1)} MB`,
);
for (const error of result.unexpected) console.log(error);
if (result.unexpected.length > 0 || grown > GROWTH_BYTES_MAX) process.exitCode = 1;
