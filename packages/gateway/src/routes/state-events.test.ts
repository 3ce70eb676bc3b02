import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HEARTBEAT_MS, READER_STALL_MS_MAX, STATE_INTERVAL_MS_MIN, SUBSCRIBERS_MAX } from "../limits.ts";
import { fakeBackend, fakeRoute } from "../testing/fake-backend.ts";
import { createStateEvents } from "./state-events.ts";

beforeEach(
  () => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] }),
);
afterEach(() => void vi.useRealTimers());

/** Reads a stream in the background and keeps what came. */
function follow(response: Response): { readonly events: string[]; readonly stop: () => Promise<void> } {
  const events: string[] = [];
  const reader = response.body?.getReader();
  const run = async (): Promise<void> => {
    for (;;) {
      const next = await reader?.read();
      if (next?.value === undefined) return;
      events.push(Buffer.from(next.value).toString());
    }
  };
  void run();
  return { events, stop: async () => reader?.cancel() };
}

const phaseIn = (event: string | undefined): string => /"state":"(\w+)"/.exec(event ?? "")?.[1] ?? "";

describe("the stream of states", () => {
  test("begins with the state, follows changes no faster than its interval, ends its watch", async () => {
    const backend = fakeBackend();
    const stateEvents = createStateEvents(backend);
    const { events, stop } = follow(stateEvents.open(() => false));
    await vi.advanceTimersByTimeAsync(0);
    expect(events).toHaveLength(1);
    expect(JSON.parse(events[0]?.slice("event: state\ndata: ".length) ?? "")).toEqual(backend.state());

    for (const phase of ["loading", "failed", "recovering"] as const) backend.setRoutes(fakeRoute({ phase }));
    await vi.advanceTimersByTimeAsync(STATE_INTERVAL_MS_MIN - 1);
    expect(events).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(events.map(phaseIn)).toEqual(["ready", "recovering"]);

    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
    expect(events.at(-1)).toBe(":\n\n");
    expect(backend.listeners).toBe(1);
    await stop();
    expect([backend.listeners, stateEvents.subscribers, vi.getTimerCount()]).toEqual([0, 0, 0]);
  });

  test("gives a reader that fell behind the newest state alone, and cuts one that stays away", async () => {
    const backend = fakeBackend();
    const stateEvents = createStateEvents(backend);
    const cut = vi.fn(() => false);
    const response = stateEvents.open(cut);
    const reader = response.body?.getReader();
    for (const phase of ["loading", "failed", "recovering"] as const) {
      backend.setRoutes(fakeRoute({ phase }));
      await vi.advanceTimersByTimeAsync(STATE_INTERVAL_MS_MIN);
    }
    const first = await reader?.read();
    expect(phaseIn(Buffer.from(first?.value ?? []).toString())).toBe("recovering");

    backend.change();
    await vi.advanceTimersByTimeAsync(READER_STALL_MS_MAX - HEARTBEAT_MS);
    expect(cut).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(3 * HEARTBEAT_MS);
    expect(cut).toHaveBeenCalledOnce();
    expect(stateEvents.subscribers).toBe(0);
  });

  test("is bounded in number, and room comes back", async () => {
    const stateEvents = createStateEvents(fakeBackend());
    const open = Array.from({ length: SUBSCRIBERS_MAX }, () => stateEvents.open(() => false));
    expect(() => stateEvents.open(() => false)).toThrow(/open event streams/);
    await open[0]?.body?.cancel();
    const another = stateEvents.open(() => false);
    stateEvents.close();
    expect(stateEvents.subscribers).toBe(0);
    await expect(another.text()).resolves.toBe("");
  });
});
