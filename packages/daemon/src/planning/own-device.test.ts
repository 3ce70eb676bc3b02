import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "@clusterd/engine";
import { asNodeId, type AdvertDeployment } from "@clusterd/wire";
import { afterEach, expect, test } from "vitest";
import type { DaemonState } from "../state/daemon-state.ts";
import { createStore, type Store } from "../state/store.ts";
import { createOwnDevice, type OwnDevice } from "./own-device.ts";

const started: OwnDevice[] = [];
afterEach(() => {
  for (const own of started.splice(0)) own[Symbol.dispose]();
});

/** An engine whose folder has no probe, as one has that was not built by clusterd. */
const engine = { rpcServer: "/nowhere/ggml-rpc-server", fingerprint: "f", devices: [] } as unknown as Engine;
const SELF = asNodeId("self");

async function start(cacheDir: string, flag: number | null = null, said: string[] = []): Promise<OwnDevice> {
  const own = await createOwnDevice({
    engine,
    threads: 1,
    cacheDir,
    memoryCapBytes: null,
    bandwidthBytesPerSecond: flag,
    accelerators: [],
    say: (message) => void said.push(message),
  });
  started.push(own);
  return own;
}

/** A state in which this node has a stage that reads 100 MB in 20 ms. */
function decoding(own: OwnDevice): Store {
  const timing = { steps: 100, tokensPerStep: 1, computeMs: { p50: 21, p95: 21 } };
  const stages = [{ node: SELF, activeBytes: 100e6, kvBytes: 0, timing }];
  const deployment = { id: "d", view: { state: "ready", stages, context: 1024, slots: 1 } } as unknown as AdvertDeployment;
  const other = { advert: { node: "head", name: "head", deployments: [deployment] }, state: "alive" };
  return createStore({
    self: SELF,
    own: { name: "self", device: own.device },
    others: new Map([[asNodeId("head"), other]]),
    deployments: new Map(),
  } as unknown as DaemonState);
}

const newHome = (): Promise<string> => mkdtemp(join(tmpdir(), "clusterd-own-device-"));

test("a machine that cannot be probed starts all the same, with the table's figure", async () => {
  const own = await start(await newHome());
  const store = decoding(own);
  own.follow(store);
  expect(own.device).toMatchObject({ bandwidthSource: "table", flopsPerSecond: null });
  expect(store.state.own.device).toBe(own.device);
});

test("what decoding has shown is told, and known at the next start; a person's word stays above it", async () => {
  const home = await newHome();
  const said: string[] = [];
  const own = await start(home, null, said);
  const store = decoding(own);
  own.refresh(store);
  expect(store.state.own.device).toMatchObject({ bandwidthBytesPerSecond: 5e9, bandwidthSource: "decode" });
  expect(said.join()).toContain("5.0 GB/s");
  await expect.poll(() => readdir(home)).toEqual(["decode-bandwidth.json"]);
  expect((await start(home)).device).toMatchObject({ bandwidthBytesPerSecond: 5e9, bandwidthSource: "decode" });
  expect((await start(home, 7e9)).device).toMatchObject({ bandwidthBytesPerSecond: 7e9, bandwidthSource: "flag" });
});

test("a file that is damaged is as if it were not there, and is replaced", async () => {
  const home = await newHome();
  const file = join(home, "decode-bandwidth.json");
  await mkdir(home, { recursive: true });
  await writeFile(file, "{");
  const own = await start(home);
  expect(own.device.bandwidthSource).toBe("table");
  own.refresh(decoding(own));
  await expect.poll(() => readFile(file, "utf8")).toContain("5000000000");
});
