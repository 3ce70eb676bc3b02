import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCatalog, openShardStore, readModelFile, type Catalog } from "@clusterd/catalog";
import { ClusterdError, type PullEvent, type VerifyEvent } from "@clusterd/wire";
import { afterAll, expect, test } from "vitest";
import { BUNDLED_MODELS } from "../offline/bundled-models.ts";
import { createBeforeUse, type BeforeUse } from "./before-use.ts";
import { createRepair, type RepairConfig } from "./repair.ts";
import { createVerifier, type Verifier } from "./verifier.ts";

const { signal } = new AbortController();
const DEMO = BUNDLED_MODELS[0]?.path ?? "";
const folder = await mkdtemp(join(tmpdir(), "clusterd-before-use-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const content = await readFile(DEMO);
const { contentId } = (await readModelFile(DEMO, { signal, cacheDir: join(folder, "profiles") })).profile;
const WHOLE_WISH = { firstLayer: 0, lastLayer: 15, isHead: false };
let homes = 0;

interface Here {
  readonly catalog: Catalog;
  readonly beforeUse: BeforeUse;
  readonly verifier: Verifier;
  readonly path: string;
  readonly home: string;
  readonly said: string[];
  readonly pulls: string[];
}

/** A home with the demo model as a pull leaves it; `hub` says what a pull brings. */
async function home(hub: "right" | "gone"): Promise<Here> {
  const path = join(folder, String(homes++));
  const models = join(path, "models");
  const repository = join(models, "o", "r");
  await mkdir(repository, { recursive: true });
  const target = join(repository, "demo-Q8_0.gguf");
  const sha256 = createHash("sha256").update(content).digest("hex");
  const put = async (): Promise<void> => {
    await writeFile(target, content);
    const record = { path: "demo-Q8_0.gguf", bytes: content.length, sha256, commit: "ab12", quantisation: "Q8_0" };
    await writeFile(join(repository, "pulled.json"), JSON.stringify([record]));
  };
  await put();
  const catalog = await openCatalog({ home: path, bundled: [], signal });
  const shards = await openShardStore({ dir: join(models, ".shards"), cacheDir: join(folder, "profiles"), signal });
  const said: string[] = [];
  const pulls: string[] = [];
  async function* follow(ref: string): AsyncGenerator<PullEvent> {
    pulls.push(ref);
    if (hub === "gone") {
      yield { event: "failed", error: { code: "not_found", message: "The hub is not there.", next: null } };
      return;
    }
    await put();
    yield { event: "done", model: "o/r:Q8_0", path: target, bytes: content.length, sha256 };
  }
  const log = (message: string): void => void said.push(message);
  const config = {
    ...{ catalog, shards, modelsDir: models, log, signal, used: () => undefined, isNeeded: () => false },
    ...{ swarm: {} as RepairConfig["swarm"], pulls: () => ({ follow }), hubOf: () => null },
    ...{ close: async () => undefined, changed: () => undefined },
  };
  const repair = createRepair(config);
  const parts = { ...config, repair };
  return { catalog, beforeUse: createBeforeUse(parts), verifier: createVerifier(parts), path: target, home: path, said, pulls };
}
async function flip(path: string, at: number): Promise<void> {
  await using file = await open(path, "r+");
  await file.write(Buffer.from([(content[at] ?? 0) ^ 16]), 0, 1, at);
}

test("a head's pulled file is read again only where somebody wrote to it; wrong, it is fetched again before it is used", async () => {
  const here = await home("right");
  const reads = (): number => here.said.filter((line) => line.startsWith("reading ")).length;
  // Of a record that does not say when the file was read it is read once.
  for (const _ of [0, 1, 2]) await here.beforeUse.head(contentId, signal);
  expect(reads()).toBe(1);
  await flip(here.path, 3_000_000);
  await here.beforeUse.head(contentId, signal);
  expect(here.pulls).toEqual(["hf:o/r:Q8_0@ab12"]);
  expect((await readFile(here.path)).equals(content)).toBe(true);
  expect(here.said.filter((line) => line.includes("is put aside as"))).toHaveLength(1);
  expect(here.said.at(-1)).toContain("byte 3000000 had been wrong");
  expect(here.catalog.byContent(contentId)?.path).toBe(here.path);
  expect(here.catalog.byContent(contentId)?.profile.id).toBe("o/r:Q8_0");
  await here.beforeUse.head(contentId, signal);
  expect(here.pulls).toHaveLength(1);
});

test("another copy on this disk is used in its place; without one, and without the hub, it is an error", async () => {
  const here = await home("gone");
  const own = join(here.home, "models", "own.gguf");
  await copyFile(DEMO, own);
  await here.catalog.refresh(signal);
  // The pulled one, wherever it stands in the list: the other must not be touched.
  const isFirst = here.catalog.byContent(contentId)?.path === here.path;
  await flip(here.path, 3_000_000);
  await here.beforeUse.head(contentId, signal);
  expect(here.pulls).toEqual([]);
  if (isFirst) expect(here.catalog.byContent(contentId)?.path).toBe(own);
  expect((await readFile(own)).equals(content)).toBe(true);

  const alone = await home("gone");
  await flip(alone.path, 3_000_000);
  const failed = alone.beforeUse.head(contentId, signal);
  await expect(failed).rejects.toThrow(
    /was not what was pulled any more and is put aside; it could not be fetched again: The hub is not there\./u,
  );
  await expect(failed).rejects.toMatchObject({ code: "model_broken" });
  expect(alone.catalog.byContent(contentId)).toBeNull();
  expect(await readdir(join(alone.home, "models", "o", "r"))).toEqual(["demo-Q8_0.gguf.quarantined", "pulled.json"]);
});

test("a worker with a wrong file goes on without it, and fetches it again meanwhile", async () => {
  const here = await home("right");
  await flip(here.path, 3_000_000);
  // Two stages of one model start at once.
  await Promise.all([0, 1].map(() => here.beforeUse.worker(contentId, WHOLE_WISH, signal)));
  expect(here.said.filter((line) => line.includes("is put aside as"))).toHaveLength(1);
  await expect.poll(() => here.catalog.byContent(contentId)?.path).toBe(here.path);
  expect((await readFile(here.path)).equals(content)).toBe(true);
});

test("one reads again at a time; who leaves ends it; what is not there is said", async () => {
  const here = await home("right");
  const collect = async (ref: string | null): Promise<readonly VerifyEvent[]> => {
    const events: VerifyEvent[] = [];
    for await (const event of here.verifier.verify({ ref, repairs: true })) if (event.event !== "progress") events.push(event);
    return events;
  };
  await expect(collect("nobody")).rejects.toMatchObject({ code: "not_found" });
  const first = here.verifier.verify({ ref: null, repairs: true });
  await first.next();
  await expect(collect(null)).rejects.toThrow(ClusterdError);
  await first.return();
  expect(await collect("o/r")).toMatchObject([
    { event: "right", model: "o/r:Q8_0", path: here.path },
    { event: "done", files: 1, bytes: content.length, damaged: 0 },
  ]);
  await flip(here.path, 1_000_000);
  expect(await collect(null)).toMatchObject([
    { event: "damaged", firstByte: 0, lastByte: content.length - 1, action: "quarantined", aside: `${here.path}.quarantined` },
    { event: "repaired", firstByte: 1_000_000 },
    { event: "done", damaged: 1, repaired: 1 },
  ]);
});
