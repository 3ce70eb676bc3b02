import { expect, test } from "vitest";
import type { EngineRequest } from "../backend.ts";
import { startUpstream } from "../testing/fake-upstream.ts";
import { askUpstream } from "./ask-upstream.ts";

const REQUEST: EngineRequest = {
  method: "POST",
  path: "/v1/chat/completions",
  body: JSON.stringify({ messages: [], stream: true }),
  signal: new AbortController().signal,
  caller: "ip:here",
};

test.each([
  ["before its answer", false],
  ["within it", true],
])("an upstream that is silent %s is given up", async (_, begins) => {
  await using far = await startUpstream((answer) => {
    if (begins) answer.write('data: {"a":1}\n\n');
  });
  const asked = askUpstream({ upstream: far.as(), model: "m", theirModel: "x" }, REQUEST, { silenceMsMax: 200 });
  const failing = begins ? asked.then((answer) => answer.text()) : asked;
  await expect(failing).rejects.toMatchObject({ code: "upstream_failed", message: expect.stringMatching(/0\.2 s/) });
  await expect.poll(() => far.cut).toBe(1);
});

test("it is read no faster than it is taken", async () => {
  const block = Buffer.from(`data: {"a":"${"x".repeat(64 * 1024)}"}\n\n`);
  let written = 0;
  await using far = await startUpstream((answer) => {
    const more = (): void => {
      while (written < 2_000 && answer.write(block)) written += 1;
      answer.once("drain", more);
    };
    more();
  });
  const answer = await askUpstream({ upstream: far.as(), model: "m", theirModel: "x" }, REQUEST);
  await new Promise((done) => setTimeout(done, 500));
  // What the sockets of both sides and `fetch` itself hold, of 128 MB.
  expect(written).toBeLessThan(500);
  await answer.body?.cancel();
  await expect.poll(() => far.cut).toBe(1);
});
