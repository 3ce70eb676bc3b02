import { ClusterdError } from "@clusterd/wire";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CHAT, errorOf, gatewayFor, post, readStream } from "../testing/client.ts";
import { fakeBackend } from "../testing/fake-backend.ts";
import { streamAnswer } from "../testing/scripted-engine.ts";
import { createPatience, type Patience } from "./patience.ts";

const TIMES = { waitingMs: 2_000, workingMs: 10_000, everyMs: 5_000 };

describe("patience", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  function watched(): { patience: Patience; said: string[]; isOver: () => boolean } {
    const said: string[] = [];
    let over = false;
    const patience = createPatience(TIMES, (text) => said.push(text));
    void patience.over.then(() => (over = true));
    return { patience, said, isOver: () => over };
  }

  test("without anything to tell of it lasts for as long as a prompt may take", async () => {
    const { said, isOver } = watched();
    await vi.advanceTimersByTimeAsync(9_999);
    expect(isOver()).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect([isOver(), said]).toEqual([true, []]);
  });

  test("where what is waited for is known it is over sooner, counted from the beginning", async () => {
    const { patience, isOver } = watched();
    await vi.advanceTimersByTimeAsync(1_500);
    patience.onWaiting("queued, position 3");
    await vi.advanceTimersByTimeAsync(499);
    expect(isOver()).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(isOver()).toBe(true);
  });

  test("what has waited longer than that is over at once; what waits no more has its full time again", async () => {
    const late = watched();
    await vi.advanceTimersByTimeAsync(5_000);
    late.patience.onWaiting("loading 3 %");
    await vi.advanceTimersByTimeAsync(0);
    expect(late.isOver()).toBe(true);
    const short = watched();
    short.patience.onWaiting("queued, position 1");
    await vi.advanceTimersByTimeAsync(1_000);
    short.patience.onWaiting(null);
    await vi.advanceTimersByTimeAsync(8_999);
    expect(short.isOver()).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(short.isOver()).toBe(true);
  });

  test("kept, it speaks at once and again and again, with what is known last", async () => {
    const { patience, said } = watched();
    const kept = patience.keep();
    expect(said).toEqual(["working on the prompt"]);
    await vi.advanceTimersByTimeAsync(5_000);
    kept.onWaiting("loading 1 %");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(said).toEqual(["working on the prompt", "working on the prompt", "loading 1 %"]);
    kept[Symbol.dispose]();
  });

  test("news is told at once, but not more than once a second, and not twice", async () => {
    const { patience, said } = watched();
    using kept = patience.keep();
    for (let percent = 1; percent <= 40; percent += 1) {
      await vi.advanceTimersByTimeAsync(100);
      kept.onWaiting(`loading ${percent} %`);
      kept.onWaiting(`loading ${percent} %`);
    }
    expect(said).toEqual(["working on the prompt", ...[10, 20, 30, 40].map((percent) => `loading ${percent} %`)]);
  });

  test("disposed of, it leaves no timer, whatever it is told then; where it is kept, what it gave is disposed of", () => {
    const ended = watched();
    ended.patience[Symbol.dispose]();
    ended.patience.onWaiting("queued, position 1");
    expect(vi.getTimerCount()).toBe(0);
    const { patience, said } = watched();
    const kept = patience.keep();
    patience[Symbol.dispose]();
    expect(vi.getTimerCount()).toBeGreaterThan(0);
    kept[Symbol.dispose]();
    kept.onWaiting("queued, position 1");
    expect(vi.getTimerCount()).toBe(0);
    expect(said).toEqual(["working on the prompt"]);
  });
});

describe("a stream whose engine takes its time", () => {
  /** A gateway of little patience, and an engine that answers when it is told to. */
  function slow(): { ask: () => Promise<Response>; answer: (response: Response) => void; refuse: (error: Error) => void } {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const gateway = gatewayFor(
      fakeBackend(() => promise),
      { patience: { waitingMs: 20, workingMs: 20, everyMs: 20 } },
    );
    return { ask: () => post(gateway, "/v1/chat/completions", { ...CHAT, stream: true }), answer: resolve, refuse: reject };
  }

  test("begins with signs of life, and goes on with the answer", async () => {
    const { ask, answer } = slow();
    const response = await ask();
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream; charset=utf-8"]);
    answer(streamAnswer({ tokens: ["a", "b"] }));
    expect(await response.clone().text()).toMatch(/^: working on the prompt\n\n/);
    expect(await readStream(response)).toMatchObject({ text: "ab", done: true, error: null });
  });

  test("ends in an error of its own where the engine then refuses", async () => {
    const { ask, refuse } = slow();
    const response = await ask();
    expect(response.status).toBe(200);
    refuse(new ClusterdError("worker_lost", "The worker on mini-2 was lost."));
    expect(await readStream(response)).toMatchObject({ text: "", done: false, error: { code: "worker_lost" } });
  });

  test("has its status where the engine refuses at once", async () => {
    const { ask, refuse } = slow();
    refuse(new ClusterdError("worker_lost", "The worker on mini-2 was lost."));
    expect(await errorOf(await ask())).toMatchObject({ status: 503, code: "worker_lost" });
  });
});
