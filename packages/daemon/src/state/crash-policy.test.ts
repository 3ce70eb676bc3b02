import { expect, test } from "vitest";
import { afterCrash, CRASH_WINDOW_MS, CRASHES_MAX, RESTART_DELAY_MS } from "./crash-policy.ts";
import type { HeadedDeployment } from "./daemon-state.ts";

const LOST = {
  code: "worker_lost",
  message: "The worker on b (layers 8-15) was lost: rpc-server was killed by SIGKILL",
} as const;
const fresh = { phase: "ready", failure: null, crashesAtMs: [] as readonly number[], retryAtMs: 0 } as HeadedDeployment;

/** Crashes at these times, one after the other. */
function crash(atMs: readonly number[], failure: Parameters<typeof afterCrash>[1] = LOST): HeadedDeployment {
  return atMs.reduce((deployment, at) => afterCrash(deployment, failure, at), fresh);
}

test("a loss is followed by a start, each after twice the wait", () => {
  expect(crash([1000])).toMatchObject({ phase: "recovering", failure: LOST, retryAtMs: 1000 + RESTART_DELAY_MS });
  expect(crash([1000, 2000])).toMatchObject({ phase: "recovering", retryAtMs: 2000 + 2 * RESTART_DELAY_MS });
});

test("too many within the window, and it is given up with a sentence; what is longer ago does not count", () => {
  const times = Array.from({ length: CRASHES_MAX + 1 }, (_, index) => index * 1000);
  expect(crash(times).phase).toBe("failed");
  expect(crash(times).failure).toEqual({
    code: "worker_lost",
    message: expect.stringMatching(/by SIGKILL\. It broke 4 times within 5 minutes/),
  });
  expect(crash(times, { ...LOST, message: "It was lost." }).failure?.message).toMatch(/^It was lost\. It broke/);
  expect(crash([...times.slice(0, -1), CRASH_WINDOW_MS + 1000])).toMatchObject({ phase: "recovering" });
});

test("an engine that ends by itself for the third time is given up", () => {
  const failure = { code: "engine_crashed", message: "llama-server was killed by SIGABRT" } as const;
  expect(crash([1000, 2000], failure).phase).toBe("recovering");
  expect(crash([1000, 2000, 3000], failure)).toMatchObject({ phase: "failed", failure: { code: "engine_crashed" } });
});

test("a broken model is not tried again", () => {
  const failure = { code: "model_broken", message: "Layer 11 is nowhere." } as const;
  expect(crash([1000], failure)).toMatchObject({ phase: "failed", failure });
});
