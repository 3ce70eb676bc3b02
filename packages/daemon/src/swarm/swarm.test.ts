import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesOf, openShardStore, openWholeFile, readModelFile, type HeldModel, type ShardFile } from "@clusterd/catalog";
import { asModelId, asNodeId, layersText, type HeldPart, type NodeId } from "@clusterd/wire";
import { afterAll, expect, test } from "vitest";
import { createUseBook, WHOLE } from "../keeping/use-book.ts";
import { BUNDLED_MODELS } from "../offline/bundled-models.ts";
import type { DaemonState } from "../state/daemon-state.ts";
import type { Store } from "../state/store.ts";
import { NO_WORDS } from "../weights/manifest-words.ts";
import { memberWeights } from "../weights/member-weights.ts";
import { createRateLimit } from "../weights/rate-limit.ts";
import { serveWeights } from "../weights/serve-weights.ts";
import { createDistrust, type Distrust } from "./distrust.ts";
import type { HeldParts } from "./held-parts.ts";
import { openSwarm } from "./swarm.ts";

const { signal } = new AbortController();
const folder = await mkdtemp(join(tmpdir(), "clusterd-swarm-"));
const file = await readModelFile(BUNDLED_MODELS[0]?.path ?? "", { signal });
const { contentId } = file.profile;
const whole = await openWholeFile(file, signal);
const modelBytes = bytesOf(whole.layout.blocks);
afterAll(async () => {
  await whole[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Node {
  readonly id: NodeId;
  /** Blocks that others have read here. */
  readonly given: number[];
  readonly log: readonly string[];
  readonly distrust: Distrust;
  fetch(): Promise<ShardFile>;
}

/** What each of the nodes tells of itself: that it fetches all of the model. */
const FETCHING: HeldPart = {
  contentId,
  model: asModelId("m"),
  layers: "",
  hasHead: false,
  diskBytes: 0,
  fetching: { layers: layersText(file.profile.layers.keys()), hasHead: true },
};

/** Nodes on real sockets, without a mesh: each knows from the start what the others hold and fetch. */
async function cluster(names: readonly string[], holders: Readonly<Record<string, HeldModel>>) {
  const stack = new AsyncDisposableStack();
  const ports = new Map<NodeId, number>();
  const all = [...names, ...Object.keys(holders)].map(asNodeId);
  function stateOf(self: NodeId): DaemonState {
    const others = all
      .filter((id) => id !== self)
      .map((id) => {
        const isHolder = holders[id] !== undefined;
        const models = isHolder ? [{ contentId, id: "m", aliases: [] }] : [];
        return [id, { state: "alive", advert: { node: id, models, held: isHolder ? [] : [FETCHING] } }] as const;
      });
    return { self, own: {}, others: new Map(others), deployments: new Map() } as unknown as DaemonState;
  }
  async function serve(id: NodeId, model: () => Promise<HeldModel | null>): Promise<void> {
    const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
      void model().then(async (held) => {
        if (held === null) socket.destroy();
        else await serveWeights(socket, held);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    ports.set(id, (server.address() as AddressInfo).port);
    stack.defer(() => void server.close());
  }
  function counted(model: HeldModel, given: number[]): HeldModel {
    return {
      ...model,
      async read(block) {
        given.push(block.index);
        return model.read(block);
      },
    };
  }

  const givenBy = new Map<string, number[]>();
  for (const [name, model] of Object.entries(holders)) {
    const given: number[] = [];
    givenBy.set(name, given);
    await serve(asNodeId(name), () => Promise.resolve(counted(model, given)));
  }
  const nodes: Node[] = [];
  for (const name of names) {
    const id = asNodeId(name);
    const store: Store = { state: stateOf(id), dispatch: () => undefined, subscribe: () => () => undefined };
    const dir = await mkdtemp(join(folder, `${name}-`));
    const shards = stack.use(await openShardStore({ dir, cacheDir: join(folder, "profiles"), signal }));
    const given: number[] = [];
    await serve(id, async () => {
      const shard = await shards.get(contentId);
      return shard === null ? null : counted(shard, given);
    });
    const held: HeldParts = {
      fetching: () => ({ [Symbol.dispose]: () => undefined }),
      isFetching: () => true,
      changed: () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
    const log: string[] = [];
    const distrust = createDistrust();
    const config = {
      store,
      shards,
      held,
      distrust,
      manifests: { ask: async () => NO_WORDS, keep: async () => undefined },
      uses: createUseBook(() => undefined),
      log: (line: string) => void log.push(line),
      weightsOf: (node: NodeId) =>
        memberWeights(String(node), async () => {
          const socket = connect({ host: "127.0.0.1", port: ports.get(node) ?? 0 });
          await once(socket, "connect");
          return socket;
        }),
    };
    nodes.push({
      id,
      given,
      log,
      distrust,
      async fetch() {
        await using swarm = openSwarm(config, {
          contentId,
          model: "m",
          root: null,
          named: [],
          hub: null,
          wish: WHOLE,
          signal,
        });
        const shard = await shards.begin(contentId, await swarm.headers(), signal);
        await swarm.fetch(shard, "all of m", () => undefined);
        return shard;
      },
    });
  }
  return { nodes, givenBy, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function isWhole(shard: ShardFile): Promise<void> {
  for (const block of whole.layout.blocks) expect((await shard.read(block)).equals(await whole.read(block))).toBe(true);
}

test("three nodes that fetch all of a model from one holder move it once over its link", async () => {
  await using made = await cluster(["a", "b", "c"], { holder: whole });
  const shards = await Promise.all(made.nodes.map((node) => node.fetch()));
  for (const shard of shards) await isWhole(shard);
  const given = made.givenBy.get("holder") ?? [];
  // Each block once for its bytes; that it is asked what a block is besides reads it again, and sends 64 bytes.
  const came = made.nodes.map(({ log }) => Number(/(\d+) bytes from holder/u.exec(log.join("\n"))?.[1] ?? 0));
  expect(came.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(modelBytes * 1.05);
  for (const bytes of came) expect(bytes).toBeGreaterThan(0);
  expect(new Set(given).size).toBe(whole.layout.blocks.length);
  for (const { given: own } of made.nodes) expect(own.length).toBeGreaterThan(0);
});

test("a member that has other bytes is dropped by the word of the others, named, and not asked again", async () => {
  const bent: HeldModel = {
    ...whole,
    async read(block) {
      const bytes = Buffer.from(await whole.read(block));
      bytes[0] = (bytes[0] ?? 0) ^ 1;
      return bytes;
    },
  };
  await using made = await cluster(["a"], { liar: bent, right: whole, also: whole });
  const [a] = made.nodes;
  if (a === undefined) throw new Error("nobody");
  await isWhole(await a.fetch());
  expect(a.log.filter((line) => /^liar sent wrong bytes .* It is not asked again for m\.$/u.test(line))).toHaveLength(1);
  expect(a.distrust.has(contentId, asNodeId("liar"))).toBe(true);
  expect(a.distrust.has(contentId, asNodeId("right"))).toBe(false);
});

test("what is served keeps to its pace, whatever is asked", async () => {
  let nowMs = 0;
  const RATE = 1_000_000;
  const pace = createRateLimit(RATE, {
    nowMs: () => nowMs,
    wait: async (ms) => void (nowMs += ms),
  });
  const server = createServer({ allowHalfOpen: true }, (socket) => void serveWeights(socket, whole, { pace }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await using member = memberWeights("m", async () => {
    const socket = connect({ host: "127.0.0.1", port });
    await once(socket, "connect");
    return socket;
  });
  await member.refresh(signal);
  const blocks = whole.layout.blocks.filter(({ bytes }) => bytes > 100_000).slice(0, 4);
  const got = await Promise.all(blocks.map((block) => member.source.read(block, signal)));
  for (const [at, block] of blocks.entries()) expect(got[at]?.equals(await whole.read(block))).toBe(true);
  // By the clock that only waiting moves; what is packed takes less of it.
  expect(nowMs).toBeGreaterThan(0);
  server.close();
});
