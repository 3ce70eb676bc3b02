import { execFile, execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseExposition } from "../../packages/gateway/src/testing/parse-exposition.ts";
import type { Host } from "./harness/hosts.ts";
import { newHome, startNode, type TestNode } from "./harness/node.ts";

const MODEL = "demo-16l-q8_0";
const CANARY = "xyzzyCanary";
const here: Host = { name: "here", ownPorts: false, wrap: (command, args) => [command, args] };

let node: TestNode;
beforeAll(async () => {
  const home = await newHome("here");
  const args = ["--no-mdns", "--listen", "127.0.0.1", "--load", "demo", "--access-log", `${home}-access.log`];
  node = await startNode(here, { home, args });
  await node.until((state) => state.deployments[0]?.state === "ready", "ready");
});
afterAll(() => node[Symbol.asyncDispose]());

async function curl(path: string, ...args: readonly string[]): Promise<string> {
  const api = String((await node.event("ready"))["api"]);
  return new Promise((done) => execFile("curl", ["-s", "-N", ...args, `${api}${path}`], (_, stdout) => done(stdout)));
}

/** One chat with a word in each place where content can be. */
async function chat(word: string, stream: boolean): Promise<string> {
  const parameters = { type: "object", properties: { [`p${word}`]: { type: "string", description: word } } };
  const body = {
    model: MODEL,
    stream,
    max_tokens: 8,
    messages: [
      { role: "system", content: `You say ${word}.` },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: `{"a":"${word}"}` } }],
      },
      { role: "tool", tool_call_id: "1", content: word },
      { role: "user", content: `Repeat: ${word} ${word} ${word}` },
    ],
    tools: [{ type: "function", function: { name: `f${word}`, description: word, parameters } }],
    user: word,
  };
  const headers = [
    "-H",
    "content-type: application/json",
    "-H",
    `x-title: ${word}`,
    "-H",
    `cookie: a=${word}`,
    "-H",
    `user-agent: ${word}`,
  ];
  return curl(`/v1/chat/completions?q=${word}`, ...headers, "-H", `authorization: Bearer ${word}`, "-d", JSON.stringify(body));
}

test("nothing of a request's content is logged or kept, whatever comes of it", async () => {
  expect(await chat(CANARY, false)).toContain('"choices"');
  expect(await chat(CANARY, true)).toContain("[DONE]");
  // In the answer as well.
  expect(await node.post("/v1/completions", { model: MODEL, prompt: CANARY, echo: true, max_tokens: 2 })).toContain(CANARY);
  const schema = {
    type: "json_schema",
    json_schema: { name: "s", schema: { type: "object", properties: { [CANARY]: { pattern: `(${CANARY}` } } } },
  };
  const hostile = [
    { model: MODEL, messages: [{ role: "user", content: "x" }], response_format: schema },
    { model: CANARY, messages: [{ role: "user", content: CANARY }] },
    { model: MODEL, messages: CANARY },
    { model: MODEL, messages: [{ role: CANARY, content: CANARY }] },
    { model: MODEL, messages: [{ role: "user", content: `${CANARY} `.repeat(4000) }] },
    {
      model: MODEL,
      messages: [{ role: "user", content: CANARY }],
      tools: [{ type: "function", function: { name: CANARY, parameters: CANARY } }],
    },
  ];
  for (const body of hostile) await node.post("/v1/chat/completions", body);
  await curl("/v1/chat/completions", "-H", "content-type: application/json", "-d", `{"model": "${CANARY}`);
  await node.post(`/v1/${CANARY}`, {});
  const logs = await node.run("logs");
  expect(logs.stdout).toMatch(
    new RegExp(`POST /v1/chat/completions model="${MODEL}" status=200 outcome=answered .*first_token_ms=\\d+`),
  );
  const places = {
    events: JSON.stringify(node.events),
    logs: logs.stdout,
    file: await readFile(`${node.home}-access.log`, "utf8"),
    metrics: await curl("/metrics"),
    state: JSON.stringify(await node.peek()),
  };
  expect(places.file).toContain("POST /v1/chat/completions");
  for (const [place, text] of Object.entries(places)) expect(text.includes(CANARY), place).toBe(false);
  expect(holding(CANARY)).toEqual([]);
  // The control: what is in the home is found.
  expect(holding("identity").length + holding(MODEL).length).toBeGreaterThan(0);
});

/** Files of the home that hold a text. */
function holding(text: string): readonly string[] {
  try {
    return execFileSync("grep", ["-rla", text, node.home], { encoding: "utf8" }).trim().split("\n");
  } catch {
    return [];
  }
}

test("the metrics of a living node are what Prometheus reads", async () => {
  const families = parseExposition(await curl("/metrics"));
  const value = (name: string): number => families.get(name)?.series.reduce((sum, one) => sum + one.value, 0) ?? Number.NaN;
  expect(value("clusterd_request_success_total")).toBeGreaterThanOrEqual(2);
  expect(value("clusterd_prompt_tokens_total")).toBeGreaterThan(10);
  expect(value("clusterd_node_memory_used_bytes")).toBeGreaterThan(1e6);
  expect(value("clusterd_num_requests_running")).toBe(0);
  expect(families.get("clusterd_time_to_first_token_seconds")?.series.length).toBeGreaterThan(10);
});

test("requests by a key bear its name, and what they cost is its own", async () => {
  const made = JSON.parse((await node.run("key", "create", "laptop", "--tokens-per-day", "20", "--json")).stdout) as {
    key: string;
  };
  const body = JSON.stringify({ model: MODEL, max_tokens: 12, messages: [{ role: "user", content: "hello there" }] });
  const ask = (): Promise<string> =>
    curl("/v1/chat/completions", "-H", "content-type: application/json", "-H", `x-api-key: ${made.key}`, "-d", body);
  expect(await ask()).toContain('"usage"');
  await expect.poll(ask).toContain("insufficient_quota");
  const logs = (await node.run("logs")).stdout;
  expect(logs).toMatch(/POST \/v1\/chat\/completions key="laptop" model=.* status=200/);
  expect(logs).toMatch(/POST \/v1\/chat\/completions key="laptop" status=429 outcome=refused/);
  expect(logs).not.toContain(made.key);
  expect(await readFile(join(node.home, "settings.json"), "utf8")).not.toContain(made.key);
});
