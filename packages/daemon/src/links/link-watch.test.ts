import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadCertificate, measureLink, startDataPlane, type DataPlane, type Mesh } from "@clusterd/mesh";
import { asNodeId, type NodeId } from "@clusterd/wire";
import { afterEach, expect, test } from "vitest";
import type { DaemonState } from "../state/daemon-state.ts";
import { createStore, type Store } from "../state/store.ts";
import { watchLinks } from "./link-watch.ts";

const stack: (AsyncDisposable | Disposable)[] = [];
afterEach(async () => {
  for (const item of stack.splice(0).reverse())
    await (Symbol.asyncDispose in item ? item[Symbol.asyncDispose]() : item[Symbol.dispose]());
});

const folder = await mkdtemp(join(tmpdir(), "clusterd-link-watch-"));
async function plane(name: string): Promise<DataPlane> {
  const certificate = await loadCertificate(join(folder, `${name}.pem`));
  const started = await startDataPlane({ certificate, listen: "127.0.0.1", port: 0 });
  stack.push(started);
  return started;
}

const [SELF, PEER, THIRD] = [asNodeId("self"), asNodeId("peer"), asNodeId("third")];
function storeOf(others: Readonly<Record<NodeId, DataPlane>>): Store {
  const known = Object.entries(others).map(([node, { port, fingerprint }]) => {
    const advert = { node, name: node, deployments: [], dataPlane: { port, fingerprint } };
    return [asNodeId(node), { advert, state: "alive" }] as const;
  });
  const own = { name: "self", links: [] };
  return createStore({ self: SELF, own, others: new Map(known), deployments: new Map() } as unknown as DaemonState);
}
const nobody: Pick<Mesh, "members" | "addressOf" | "request"> = {
  members: () => [],
  addressOf: () => null,
  request: () => Promise.reject(new Error("nobody there")),
};
const soon = (): AbortSignal => AbortSignal.timeout(15_000);

test("a member may measure once, then not again for a while; nobody else meanwhile, and no stranger", async () => {
  const [own, peer, third] = [await plane("own"), await plane("peer"), await plane("third")];
  const store = storeOf({ [PEER]: peer, [THIRD]: third });
  const watch = watchLinks({ store, dataPlane: own, mesh: () => nobody });
  stack.push(watch);
  expect(watch.ticketFor(asNodeId("stranger"))).toBeNull();
  const ticket = watch.ticketFor(PEER);
  if (ticket === null) throw new Error("no ticket");
  expect(watch.ticketFor(THIRD)).toBeNull();
  const reach = { address: "127.0.0.1", port: own.port, fingerprint: own.fingerprint, ticket, peerName: "own", signal: soon() };
  await expect(third.connect(reach)).rejects.toThrow();
  const socket = await peer.connect(reach);
  expect((await measureLink(socket, soon())).bytesPerSecond).toBeGreaterThan(0);
  socket.destroy();
  // Now the third's turn, but not the first one's again.
  await expect.poll(() => watch.ticketFor(THIRD)).not.toBeNull();
  expect(watch.ticketFor(PEER)).toBeNull();
  await expect(peer.connect(reach)).rejects.toThrow(/ticket/);
});

test("a member that is seen is measured within seconds, and the state knows it", async () => {
  const [own, peer] = [await plane("own"), await plane("peer")];
  const there = watchLinks({ store: storeOf({ [SELF]: own }), dataPlane: peer, mesh: () => nobody });
  stack.push(there);
  const store = storeOf({ [PEER]: peer });
  const mesh = {
    members: () => [PEER],
    addressOf: () => "127.0.0.1",
    request: () => Promise.resolve({ ticket: there.ticketFor(SELF) }),
  } as unknown as Mesh;
  stack.push(watchLinks({ store, dataPlane: own, mesh: () => mesh }));
  await expect.poll(() => store.state.own.links, { timeout: 20_000 }).toHaveLength(1);
  const [link] = store.state.own.links;
  expect(link).toMatchObject({ to: PEER });
  expect(link?.bytesPerSecond).toBeGreaterThan(1e6);
  // A heartbeat, which takes another way, does not replace what was measured.
  store.dispatch({ type: "link", to: PEER, rttMs: 99 });
  expect(store.state.own.links).toEqual([link]);
}, 30_000);

test("a link that carries something else is left alone, and a measurement under way gives way", async () => {
  const [own, peer] = [await plane("own"), await plane("peer")];
  const store = storeOf({ [PEER]: peer });
  const watch = watchLinks({ store, dataPlane: own, mesh: () => nobody });
  stack.push(watch);
  const ticket = watch.ticketFor(PEER);
  if (ticket === null) throw new Error("no ticket");
  const reach = { address: "127.0.0.1", port: own.port, fingerprint: own.fingerprint, ticket, peerName: "own", signal: soon() };
  const measured = await peer.connect(reach);
  const cut = new Promise((done) => measured.once("close", done));
  // Another's deployment that this node takes part in begins to fetch.
  const deployment = { id: "d", view: { state: "fetching", epoch: 1, head: PEER, stages: [{ node: SELF, timing: null }] } };
  const advert = { ...store.state.others.get(PEER)?.advert, deployments: [deployment] };
  (store.state.others as Map<NodeId, unknown>).set(PEER, { advert, state: "alive" });
  await cut;
  (store.state.others as Map<NodeId, unknown>).set(PEER, { advert: { ...advert, deployments: [] }, state: "alive" });

  // Bytes of anything else, whatever is said of it.
  const offer = own.offer({
    peerFingerprint: peer.fingerprint,
    kind: "weights",
    label: "w",
    target: async (socket) => {
      const piece = Buffer.alloc(64 * 1024);
      while (!socket.destroyed) {
        socket.write(piece);
        await new Promise((done) => setTimeout(done, 5));
      }
    },
  });
  stack.push(offer);
  const stream = await peer.connect({ ...reach, ticket: offer.ticket });
  stream.resume();
  const third = await plane("third");
  (store.state.others as Map<NodeId, unknown>).set(THIRD, {
    advert: { node: THIRD, name: "third", deployments: [], dataPlane: { port: third.port, fingerprint: third.fingerprint } },
    state: "alive",
  });
  // The control: without traffic it would be let in.
  await new Promise((done) => setTimeout(done, 1_200));
  expect(watch.ticketFor(THIRD)).toBeNull();
  stream.destroy();
  offer[Symbol.dispose]();
  await expect.poll(() => watch.ticketFor(THIRD), { timeout: 5_000 }).not.toBeNull();
}, 30_000);
