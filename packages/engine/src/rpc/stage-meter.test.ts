import { expect, test } from "vitest";
import { createHeadRelay } from "./head-relay.ts";
import { createStageLoad } from "./stage-load.ts";
import { createStageMeter } from "./stage-meter.ts";
import { answer, getTensor, recompute, setTensor } from "./testing/frames.ts";
import { tap } from "./testing/wires.ts";

const HIDDEN = 16;
const IN = { buffer: 0x10, data: 0x1000 };
const F16 = 1;

test("how much of the cache a step reads is told by its mask, whose last piece is half full", () => {
  const load = createStageLoad({ weights: new Map(), layers: [], local: new Set(), missing: new Set() });
  const meter = createStageMeter(1);
  const relay = createHeadRelay({ load, meter, hiddenBytes: HIDDEN, onHeard: () => undefined });
  tap(relay);
  const step = (...masks: readonly Buffer[]): void => {
    void relay.fromLocal(Buffer.concat([setTensor(IN, Buffer.alloc(HIDDEN)), ...masks, recompute(), getTensor(IN, HIDDEN)]));
    void relay.fromRemote(answer(Buffer.alloc(HIDDEN)));
  };
  const mask = (cells: number): Buffer => setTensor({ ...IN, type: F16, dimensions: [cells, 1, 1, 1] }, Buffer.alloc(2 * cells));
  // The first answer begins the clock. Of layers with a window the mask is narrower: the widest counts.
  step(mask(512));
  step(mask(512), mask(256));
  expect(meter.timing?.cacheTokens).toBe(512 - 128);
  step(mask(1024));
  expect(meter.timing?.cacheTokens).toBe((384 + 896) / 2);
  // No multiple of a piece is no mask.
  step(mask(100));
  expect(meter.timing?.cacheTokens).toBeCloseTo((384 + 896 + 0) / 3, 9);
});
