import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { Advert, ControlRequest, NodeId } from "@clusterd/wire";
import { formatToken, type ClusterCredentials } from "./credentials.ts";
import { loadIdentity } from "./identity.ts";
import type { AdvertFacts, Mesh, MeshConfig, MeshEvent } from "./mesh-config.ts";
import { startMesh } from "./start-mesh.ts";

const folder = await mkdtemp(join(tmpdir(), "clusterd-mesh-"));
const running: AsyncDisposable[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((item) => item[Symbol.asyncDispose]()));
});

interface Node {
  readonly mesh: Mesh;
  readonly events: MeshEvent[];
  readonly requests: { from: NodeId; request: ControlRequest }[];
  saved: ClusterCredentials | null;
  credentials(): ClusterCredentials;
}

async function start(name: string, options: Partial<MeshConfig> = {}): Promise<Node> {
  const events: MeshEvent[] = [];
  const requests: { from: NodeId; request: ControlRequest }[] = [];
  const node: { saved: ClusterCredentials | null } = { saved: options.credentials ?? null };
  const mesh = await startMesh({
    identity: await loadIdentity(join(folder, `${name}.key`)),
    name,
    version: "0.1.0",
    rpcProtocol: "7.0.0",
    listen: ["127.0.0.1"],
    port: 0,
    mdns: false,
    peers: [],
    credentials: null,
    token: null,
    clusterName: null,
    open: false,
    incarnation: 1,
    saveCredentials: async (credentials) => void (node.saved = credentials),
    on: (event) => events.push(event),
    onRequest: async (from, request) => {
      requests.push({ from, request });
      return { draining: true };
    },
    ...options,
  });
  running.push(mesh);
  return Object.assign(node, {
    mesh,
    events,
    requests,
    credentials() {
      const standing = mesh.standing();
      if (standing.kind !== "member") throw new Error(`${name} is ${standing.kind}`);
      return standing.cluster;
    },
  });
}
const at = (node: Node): string => node.mesh.addresses()[0] ?? "";
const member = async (node: Node): Promise<void> =>
  expect.poll(() => node.mesh.standing().kind, { timeout: 8000 }).toBe("member");
const pending = async (node: Node): Promise<string> => {
  await expect.poll(() => node.mesh.standing().kind, { timeout: 8000 }).toBe("pending");
  const standing = node.mesh.standing();
  return standing.kind === "pending" ? standing.code : "";
};
const connected = async (nodes: Node[]): Promise<void> => {
  for (const node of nodes) await expect.poll(() => node.mesh.members().length, { timeout: 12_000 }).toBe(nodes.length - 1);
};
const facts = (name: string): AdvertFacts => ({
  name,
  version: "0.1.0",
  draining: false,
  device: {
    platform: "linux-x64",
    chip: "x",
    memoryBytesTotal: 1,
    memoryBytesFree: 1,
    memoryBytesBudget: 1,
    bandwidthBytesPerSecond: 1,
    bandwidthSource: "probe",
    accelerators: [],
  },
  links: [],
  engine: { fingerprint: "f", rpcProtocol: "7.0.0", llamaCpp: "v0.5.0" },
  models: [],
  deployments: [],
  pending: [],
  dataPlane: { port: 1, fingerprint: "ab" },
  held: [],
});
const advertsOf = (node: Node, from: Node): Advert[] =>
  node.events.flatMap((event) => (event.type === "advert" && event.advert.node === from.mesh.self ? [event.advert] : []));

test("a lone node founds a cluster; a token admits at once; adverts and requests pass", async () => {
  const first = await start("a", { clusterName: "lab" });
  await member(first);
  expect(first.credentials().name).toBe("lab");
  const second = await start("b", { token: formatToken(first.credentials()), peers: [at(first)] });
  await member(second);
  await connected([first, second]);
  expect(second.saved?.id).toBe(first.credentials().id);
  second.mesh.publish(facts("b"));
  await expect.poll(() => advertsOf(first, second).length).toBe(1);
  second.mesh.publish(facts("b2"));
  await expect.poll(() => advertsOf(first, second).at(-1)?.name).toBe("b2");
  expect(await first.mesh.request(second.mesh.self, { type: "drain", on: true }, { signal: AbortSignal.timeout(5000) })).toEqual({
    draining: true,
  });
  expect(second.requests[0]?.from).toBe(first.mesh.self);
  await expect.poll(() => first.events.some((event) => event.type === "link"), { timeout: 8000 }).toBe(true);
});

test("without a token a node asks; both screens show the same code; approval lets it in", async () => {
  const first = await start("c");
  await member(first);
  const joiner = await start("d", { peers: [at(first)] });
  const code = await pending(joiner);
  expect(first.mesh.pending()).toMatchObject([{ code, name: "d", node: joiner.mesh.self }]);
  expect(joiner.saved).toBeNull();
  await expect(first.mesh.approve("000-000x1")).rejects.toThrow(/Nobody waits/);
  await first.mesh.approve(code.replace("-", ""));
  await member(joiner);
  await connected([first, joiner]);
  expect(first.mesh.pending()).toEqual([]);
});

test("a stranger without the secret reaches nothing that a member reaches", async () => {
  const first = await start("e");
  await member(first);
  const elsewhere = await start("f", { clusterName: "elsewhere" });
  await member(elsewhere);
  const wrong = formatToken({ id: first.credentials().id, secret: new Uint8Array(32) });
  const stranger = await start("g", { token: wrong, peers: [at(first)] });
  await expect.poll(() => stranger.events.find((event) => event.type === "refused")?.why, { timeout: 8000 }).toBe("token-wrong");
  await expect(
    stranger.mesh.request(first.mesh.self, { type: "drain", on: true }, { signal: AbortSignal.timeout(2000) }),
  ).rejects.toThrow();
  expect(first.mesh.members()).toEqual([]);
  expect(first.requests).toEqual([]);
  const other = await start("h", { credentials: elsewhere.credentials(), peers: [at(first)] });
  await expect.poll(() => first.events.some((event) => event.type === "stranger"), { timeout: 8000 }).toBe(true);
  expect(other.mesh.members()).toEqual([]);
  const proper = await start("i", { token: formatToken(first.credentials()), peers: [at(first)] });
  await connected([first, proper]);
});

test("an open cluster admits whoever asks", async () => {
  const first = await start("j", { open: true });
  await member(first);
  const joiner = await start("k", { peers: [at(first)] });
  await member(joiner);
  await connected([first, joiner]);
});

test("a node with another engine is refused with both versions named", async () => {
  const first = await start("l");
  await member(first);
  const old = await start("m", { token: formatToken(first.credentials()), peers: [at(first)], rpcProtocol: "6.1.0" });
  await expect
    .poll(() => old.events.find((event) => event.type === "refused")?.message, { timeout: 8000 })
    .toMatch(/7\.0\.0.*6\.1\.0/);
  expect(first.mesh.members()).toEqual([]);
});

test("four nodes that know one address become a full mesh; a goodbye is heard at once", async () => {
  const first = await start("n");
  await member(first);
  const token = formatToken(first.credentials());
  const others = await Promise.all(["o", "p", "q"].map((name) => start(name, { token, peers: [at(first)] })));
  await connected([first, ...others]);
  const leaver = others[2] as Node;
  await leaver.mesh[Symbol.asyncDispose]();
  await expect
    .poll(() => first.events.findLast((event) => event.type === "node-state" && event.node === leaver.mesh.self), {
      timeout: 4000,
    })
    .toMatchObject({ state: "left" });
});

test("a removed node is told, forgets, and its old token is worth nothing; members that were away come back", async () => {
  const first = await start("r");
  await member(first);
  const token = formatToken(first.credentials());
  const away = await start("s", { token, peers: [at(first)] });
  const bad = await start("t", { token, peers: [at(first)] });
  await connected([first, away, bad]);
  const kept = away.credentials();
  await away.mesh[Symbol.asyncDispose]();
  await first.mesh.remove(bad.mesh.self);
  await expect.poll(() => bad.saved, { timeout: 4000 }).toBeNull();
  expect(bad.events.some((event) => event.type === "refused" && event.why === "removed")).toBe(true);
  const back = await start("s", { credentials: kept, peers: [at(first)], incarnation: 2 });
  await expect.poll(() => back.credentials().generation, { timeout: 8000 }).toBe(2);
  const late = await start("u", { token, peers: [at(first)] });
  await expect.poll(() => late.events.find((event) => event.type === "refused")?.why, { timeout: 8000 }).toBe("token-outdated");
});
