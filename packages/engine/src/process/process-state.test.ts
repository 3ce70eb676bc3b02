import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { applyProcessEvent, type ProcessEvent, type ProcessState } from "./process-state.ts";

const event = fc.oneof(
  fc.constant<ProcessEvent>({ kind: "ready" }),
  fc.constant<ProcessEvent>({ kind: "stop" }),
  fc.record({
    kind: fc.constant("exit" as const),
    code: fc.constantFrom(0, 1, null),
    signal: fc.constantFrom(null, "SIGKILL" as const),
  }),
);

test.prop([fc.array(event)])("a process moves forward only, and its end says whether it was asked for before", (events) => {
  const order = ["starting", "ready", "stopping", "ended"];
  let state: ProcessState = { kind: "starting" };
  for (const next of events) {
    const after = applyProcessEvent(state, next);
    expect(order.indexOf(after.kind)).toBeGreaterThanOrEqual(order.indexOf(state.kind));
    state = after;
  }
  const exit = events.findIndex(({ kind }) => kind === "exit");
  expect(state.kind === "ended").toBe(exit !== -1);
  if (state.kind === "ended") expect(state.wanted).toBe(events.slice(0, exit).some(({ kind }) => kind === "stop"));
});
