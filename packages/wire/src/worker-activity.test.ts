import { expect, test } from "vitest";
import { parseControlReply, parseControlRequest } from "./parse-control.ts";

test("what an engine is doing is asked by its stage, and told or not known", () => {
  const asked = { type: "worker-activity", deployment: "d", epoch: 3, device: 1 };
  expect(parseControlRequest(asked)).toEqual(asked);
  expect(() => parseControlRequest({ ...asked, device: -1 })).toThrow(/worker-activity\.device/);
  for (const activity of [null, { stopped: false, runnable: true, cpuMs: 1230 }]) {
    const reply = { ok: true, answer: { activity } };
    expect(parseControlReply("worker-activity", reply)).toEqual(reply);
  }
  const bad = { ok: true, answer: { activity: { stopped: false, runnable: "yes", cpuMs: 1230 } } };
  expect(() => parseControlReply("worker-activity", bad)).toThrow(/runnable/);
});
