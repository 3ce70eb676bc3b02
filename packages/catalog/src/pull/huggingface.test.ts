import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { hubConfig } from "../remote/hub-config.ts";
import { COMMIT, startHuggingFace, type HuggingFace, type Refusal } from "../testing/huggingface-server.ts";
import { downloadFile } from "./download-file.ts";
import { hubSource } from "./hub-source.ts";
import { pullModel, type PulledModel } from "./pull-model.ts";

const folder = await mkdtemp(join(tmpdir(), "clusterd-huggingface-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
const weights = randomBytes(700_000);
const files = { "README.md": Buffer.from("# a model"), "m-Q4_K_M.gguf": weights };
let homes = 0;

const pull = (hub: HuggingFace, env: Record<string, string> = {}, home = join(folder, String(homes++))): Promise<PulledModel> =>
  pullModel("hf:old/name", {
    modelsDir: join(home, "models"),
    cacheDir: join(home, "headers"),
    env: { HF_ENDPOINT: hub.endpoint, ...env },
    signal,
    onProgress: () => {},
  });

test.each(["", "/mirror/hub"])("a renamed repository is found where it is now, under the prefix %j", async (prefix) => {
  await using hub = await startHuggingFace({ files, prefix });
  const { path } = await pull(hub, { HF_TOKEN: "hf_secret" });
  expect((await readFile(path)).equals(weights)).toBe(true);
  expect(hub.seen.filter(({ host }) => host === "hub").every(({ path: asked }) => asked.startsWith(prefix))).toBe(true);
  expect(hub.seen.filter(({ host, token }) => (host === "hub") !== (token === "Bearer hf_secret"))).toEqual([]);
});

test("signed addresses that run out in the middle are asked for anew", async () => {
  await using hub = await startHuggingFace({ files, signedFor: 2 });
  const target = join(folder, "signed", "model.gguf");
  await downloadFile({
    source: hubSource(hubConfig({ HF_ENDPOINT: hub.endpoint }), { repo: "old/name", commit: COMMIT, path: "m-Q4_K_M.gguf" }),
    target,
    fileBytes: weights.length,
    sha256: null,
    signal,
    chunkBytes: 32 * 1024,
    firstPauseMs: 1,
    onProgress: () => {},
  });
  expect((await readFile(target)).equals(weights)).toBe(true);
  expect(hub.seen.filter(({ host }) => host === "hub").length).toBeGreaterThan(10);
});

const gated = { "x-error-code": "GatedRepo", "x-error-message": "Access to model new/name is restricted." };
test.each<readonly [string, Refusal, Record<string, string>, string, RegExp]>([
  ["gated, to nobody", { status: 401, headers: gated }, {}, "not_admitted", /gated or private.*Accept its terms.*set HF_TOKEN/su],
  [
    "gated, to someone",
    { status: 403, headers: gated },
    { HF_TOKEN: "hf_x" },
    "not_admitted",
    /Accept its terms.*may not read it yet/su,
  ],
  [
    "not there, or hidden",
    { status: 401, headers: { "x-error-message": "Invalid username or password." } },
    {},
    "not_admitted",
    /gated, private, or not there/u,
  ],
  [
    "asked for with a token that is none",
    { status: 401, headers: { "x-error-message": "Invalid credentials in Authorization header" } },
    { HF_TOKEN: "hf_x" },
    "not_admitted",
    /does not know the token in HF_TOKEN.*settings\/tokens/su,
  ],
  ["not there", { status: 404, headers: { "x-error-code": "RepoNotFound" } }, {}, "not_found", /has not found old\/name/u],
  ["at no such revision", { status: 404, headers: { "x-error-code": "RevisionNotFound" } }, {}, "not_found", /no such revision/u],
  [
    "taken off",
    { status: 403, headers: { "x-error-code": "DisabledRepo", "x-error-message": "Access to this resource is disabled." } },
    {},
    "not_found",
    /has taken old\/name off/u,
  ],
  ["asked for too often", { status: 429, headers: { ratelimit: '"api";r=0;t=221' } }, {}, "failed", /answered 429.*slow down/su],
])("a repository that is %s says so", async (_, refused, env, code, text) => {
  await using hub = await startHuggingFace({ files, refuse: () => refused });
  const error = await pull(hub, env).catch((thrown: unknown) => thrown as { code: string; message: string; next: string });
  expect(error).toMatchObject({ code });
  expect("next" in error ? `${error.message} ${error.next}` : "").toMatch(text);
  // None of that is better a second later, or may be asked for minutes long; a mirror may only not know revisions.
  expect(hub.seen.length).toBeLessThanOrEqual(2);
});

test("a hub that fails for a moment is asked again, one that keeps failing three times", async () => {
  let count = 0;
  await using hub = await startHuggingFace({
    files,
    refuse: () => ((count += 1) <= 2 ? { status: 503, headers: { "retry-after": "0" } } : null),
  });
  expect((await pull(hub)).bytes).toBe(weights.length);
  await using down = await startHuggingFace({ files, refuse: () => ({ status: 500 }) });
  await expect(pull(down)).rejects.toThrow(/answered 500/u);
  expect(down.seen).toHaveLength(3);
});

test("a token that the hub's own tools have kept is used at the hub it was made at, and one that is named everywhere", async () => {
  const home = join(folder, "login");
  const kept = join(home, ".cache", "huggingface");
  await mkdir(kept, { recursive: true });
  await writeFile(join(kept, "token"), "hf_kept\n");
  expect(hubConfig({ HOME: home })).toMatchObject({ token: "hf_kept", tokenFrom: join(kept, "token") });
  expect(hubConfig({ HOME: home, HF_TOKEN: "hf_said" }).token).toBe("hf_said");
  expect(hubConfig({ HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }).token).toBeNull();
  expect(hubConfig({ HOME: "/nowhere", HF_HOME: kept }).token).toBe("hf_kept");
  expect(hubConfig({ HOME: "/nowhere", XDG_CACHE_HOME: join(home, ".cache") }).token).toBe("hf_kept");
  expect(hubConfig({ HOME: home, HF_ENDPOINT: "https://mirror.example.com" }).token).toBeNull();
  expect(hubConfig({ HF_TOKEN_PATH: join(kept, "token"), HF_ENDPOINT: "https://mirror.example.com" }).token).toBe("hf_kept");
  await writeFile(join(kept, "token"), "x".repeat(5000));
  expect(hubConfig({ HOME: home }).token).toBeNull();
  // Over the network in the clear it goes to nobody but this machine and the network around it.
  expect(() => hubConfig({ HF_TOKEN: "hf_x", HF_ENDPOINT: "http://mirror.example.com" })).toThrow(/could read the token/u);
  expect(hubConfig({ HF_TOKEN: "hf_x", HF_ENDPOINT: "http://192.168.1.2:8080" }).token).toBe("hf_x");
});

test("nothing but the file and its record is left", async () => {
  await using hub = await startHuggingFace({ files });
  const home = join(folder, "left");
  const { path } = await pull(hub, {}, home);
  expect((await readdir(join(path, ".."))).toSorted()).toEqual(["m-Q4_K_M.gguf", "pulled.json"]);
});
