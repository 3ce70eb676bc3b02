import { cp, mkdtemp, truncate, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import OpenAI from "openai";
import type { Host } from "./harness/hosts.ts";
import { cli, newHome, startNode, type TestNode } from "./harness/node.ts";

const DEMO = resolve(import.meta.dirname, "../../models/demo-16l-q8_0.gguf");
const here: Host = { name: "here", ownPorts: false, wrap: (command, args) => [command, args] };
const ports = ["--api-port", "0", "--mesh-port", "0", "--no-mdns"];

let node: TestNode;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-errors-"));
  node = await startNode(here, { args: ["--no-mdns", "--load", "demo"] });
  await node.until((state) => state.deployments[0]?.state === "ready", "ready");
});
afterAll(() => node[Symbol.asyncDispose]());

/** An error says what, and what next. */
async function fails(args: readonly string[], status: number, message: RegExp, env: Record<string, string> = {}): Promise<void> {
  const ran = await cli(here, args, env);
  expect(ran.stderr).toMatch(message);
  expect(ran.status).toBe(status);
  expect(ran.stderr).not.toMatch(/\n\s+at /);
}

describe("each a clear error with its exit code", () => {
  test("usage", async () => {
    await fails(["status", "--jsno"], 2, /--jsno/);
    await fails(["stauts"], 2, /status/);
    await fails(["join", "--memory", "lots"], 2, /size/);
    await fails(["load"], 2, /REF/);
  });

  test("no daemon, and a second one", async () => {
    await fails(["status", "--home", await newHome("none")], 3, /clusterd join/);
    await fails(["join", "--home", node.home, ...ports], 1, /already running/);
  });

  test("a port in use", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const port = String((server.address() as AddressInfo).port);
    await fails(
      ["join", "--home", await newHome("port"), "--api-port", port, "--mesh-port", "0", "--no-mdns"],
      1,
      new RegExp(port),
    );
    await fails(
      ["join", "--home", await newHome("port"), "--mesh-port", port, "--api-port", "0", "--no-mdns", "--listen", "127.0.0.1"],
      1,
      new RegExp(port),
    );
    server.close();
  });

  test("a home that cannot be one", async () => {
    const file = join(folder, "a-file");
    await writeFile(file, "");
    await fails(["join", "--home", join(file, "home"), ...ports], 1, /cannot be used/);
  });

  test("a model that is not there, is cut short, or fits nowhere", async () => {
    const at = ["--home", node.home];
    await fails(["load", join(folder, "none.gguf"), ...at], 4, /no file/);
    const cut = join(folder, "cut.gguf");
    await cp(DEMO, cut);
    await truncate(cut, 1_900_000);
    await fails(["load", cut, ...at], 1, /1\.9 MB.*3\.8 MB/);
    const small = await startNode({ ...here, name: "small" }, { args: ["--no-mdns", "--memory", "3MB"] });
    await small.event("ready");
    await fails(["load", "demo", "--home", small.home], 5, /short by/);
    await fails(["plan", "demo", "--home", small.home], 5, /^$/);
    await small[Symbol.asyncDispose]();
  });

  test("a wrong token, and no token at all", async () => {
    const mesh = String(((await node.event("ready"))["mesh"] as string[])[0]);
    await fails(["join", "--home", await newHome("token"), "--token", "nonsense", ...ports], 6, /not a clusterd token/);
    const token = (await node.run("token")).stdout.trim();
    const wrong = `clusterd-${Buffer.concat([Buffer.from(token.slice(9), "base64url").subarray(0, 16), Buffer.alloc(32)]).toString("base64url")}`;
    await fails(["join", "--home", await newHome("token"), "--token", wrong, "--peer", mesh, ...ports], 6, /secret/);
  });

  test("an engine folder that is not one", async () => {
    await fails(["engine"], 1, /CLUSTERD_ENGINE_DIR/, { CLUSTERD_ENGINE_DIR: folder });
  });
});

describe("the official client", () => {
  async function client(): Promise<OpenAI> {
    return new OpenAI({ baseURL: `${String((await node.event("ready"))["api"])}/v1`, apiKey: "none", maxRetries: 0 });
  }
  const messages = [{ role: "user" as const, content: "What is the capital of Japan?" }];

  test("answers, streaming and not", async () => {
    const openai = await client();
    const whole = await openai.chat.completions.create({ model: "demo", messages, temperature: 0 });
    expect(whole.choices[0]?.message.content).toBe("The capital of Japan is Tokyo.");
    let text = "";
    for await (const chunk of await openai.chat.completions.create({ model: "demo", messages, temperature: 0, stream: true }))
      text += chunk.choices[0]?.delta.content ?? "";
    expect(text).toBe("The capital of Japan is Tokyo.");
    expect((await openai.models.list()).data.map((model) => model.id)).toContain("demo-16l-q8_0");
  });

  test("knows its errors", async () => {
    const openai = await client();
    await expect(openai.chat.completions.create({ model: "nothing", messages })).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
    });
    const long = [{ role: "user" as const, content: "one two three ".repeat(1500) }];
    await expect(openai.chat.completions.create({ model: "demo", messages: long, stream: true })).rejects.toMatchObject({
      status: 400,
      code: "context_length_exceeded",
      message: expect.stringMatching(/1024/),
    });
  });
});
