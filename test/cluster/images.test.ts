import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { crc32, deflateSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Placement } from "../../packages/wire/src/index.ts";
import { startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const SIDE = 56;

const network = makeHosts(["a", "b", "c"]);
let cluster: Cluster;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-images-"));
  const make = (name: string, ...flags: string[]) =>
    promisify(execFile)(process.execPath, [MAKE_MODEL, join(folder, name), "--width", "128", ...flags]);
  await make("seeing.gguf", "--layers", "4");
  await make("mmproj-seeing-f16.gguf", "--projector", "--type", "f16");
  cluster = await startCluster(network.hosts, "lab");
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  network[Symbol.dispose]();
  await rm(folder, { recursive: true, force: true });
});

/** A picture of one colour as a data: URL. */
function picture(red: number, green: number, blue: number): string {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const framed = Buffer.alloc(body.length + 8);
    framed.writeUInt32BE(data.length);
    body.copy(framed, 4);
    framed.writeUInt32BE(crc32(body), body.length + 4);
    return framed;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(SIDE, 0);
  header.writeUInt32BE(SIDE, 4);
  header.set([8, 2], 8);
  const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(SIDE * 3, Buffer.from([red, green, blue]))]);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: SIDE }, () => row)));
  const file = [
    Buffer.from("\u0089PNG\r\n\u001a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", pixels),
    chunk("IEND", Buffer.alloc(0)),
  ];
  return `data:image/png;base64,${Buffer.concat(file).toString("base64")}`;
}

interface Answer {
  readonly choices?: readonly { readonly message: { readonly content: string } }[];
  readonly usage?: { readonly prompt_tokens: number };
  readonly error?: { readonly code: string };
}

async function ask(model: string, ...pictures: readonly string[]): Promise<Answer> {
  const parts = pictures.map((url) => ({ type: "image_url", image_url: { url } }));
  const messages = [{ role: "user", content: [{ type: "text", text: "What is this?" }, ...parts] }];
  return JSON.parse(
    await cluster.named("c").post("/v1/chat/completions", { model, messages, max_tokens: 8, temperature: 0 }),
  ) as Answer;
}

test("a model with a projector beside it sees images, its layers on three hosts; one without says that it cannot", async () => {
  const ran = await cluster.head.run(
    "load",
    join(folder, "seeing.gguf"),
    "--objective",
    "spread",
    "--ctx",
    "512",
    "--wait",
    "--json",
  );
  expect(ran.status, ran.stderr).toBe(0);
  expect((JSON.parse(ran.stdout) as { plan: Placement }).plan.stages).toHaveLength(3);
  const [blind, red, blue, again] = [
    await ask("seeing"),
    await ask("seeing", picture(255, 0, 0)),
    await ask("seeing", picture(0, 0, 255)),
    await ask("seeing", picture(255, 0, 0)),
  ];
  const said = (answer: Answer): string | undefined => answer.choices?.[0]?.message.content;
  expect(red.usage?.prompt_tokens).toBeGreaterThan(blind.usage?.prompt_tokens ?? Infinity);
  expect(said(red)).not.toBe(said(blue));
  expect(said(again)).toBe(said(red));

  expect((await cluster.head.run("load", "demo", "--wait")).status).toBe(0);
  expect((await ask("demo", picture(255, 0, 0))).error).toMatchObject({ code: "unsupported" });
});
