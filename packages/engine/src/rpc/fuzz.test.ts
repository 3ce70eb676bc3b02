import { expect, test } from "vitest";
import { fuzzRelay } from "./testing/fuzz.ts";

/** The full million: `node scripts/fuzz-relay.ts`. */
const FRAMES = 60_000;

test("mutated frames end connections and nothing else, and memory stays where it was", async () => {
  const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);
  const result = await fuzzRelay({ frames: FRAMES, seed });
  expect(result.unexpected, `seed ${seed}`).toEqual([]);
  expect(result.frames).toBeGreaterThanOrEqual(FRAMES);
  // Some pass, some end their connection: else the mutations are too mild or too wild to find anything.
  expect(result.refused).toBeGreaterThan(FRAMES / 100);
  expect(result.passed).toBeGreaterThan(FRAMES / 100);
  expect(result.heldBytesMax).toBeLessThan(256 * 1024);
});
