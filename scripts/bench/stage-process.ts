import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createWeightDigests } from "../../packages/catalog/src/weight-digests.ts";
import { readModelFile, type ModelFile } from "../../packages/catalog/src/read-model.ts";
import { groupOf, readWeightTable, type WeightTable } from "../../packages/catalog/src/weight-table.ts";
import { groupsOf, stageWeights } from "../../packages/daemon/src/deployments/model-weights.ts";
import { createCopyBoard, type CopyBoard } from "../../packages/engine/src/rpc/copy-board.ts";
import { createHeadStage, type HeadStage } from "../../packages/engine/src/rpc/head-stage.ts";
import type { StageLoadSummary } from "../../packages/engine/src/rpc/stage-load.ts";
import type { WorkSpan } from "../../packages/engine/src/rpc/stage-meter.ts";
import { createWorkerRelay } from "../../packages/engine/src/rpc/worker-relay.ts";
import { loadCertificate } from "../../packages/mesh/src/data-plane/certificate.ts";
import { startDataPlane, type DataPlane } from "../../packages/mesh/src/data-plane/data-plane.ts";
import { joinSockets, type Traffic } from "../../packages/mesh/src/data-plane/join-sockets.ts";
import { parseTrustedLink } from "../../packages/mesh/src/data-plane/trusted-link.ts";
import type { StageMeter } from "../../packages/engine/src/rpc/stage-meter.ts";
import { answerParent } from "./bench-process.ts";
import { startProfile, type SelfTime } from "./self-times.ts";

/** Which layers of which model a stage has, and whether their weights are put in at the worker. */
export interface BenchStage {
  readonly model: string;
  readonly firstLayer: number;
  readonly lastLayer: number;
  readonly localWeights: boolean;
  readonly slots: number;
  /** Where digests are kept. */
  readonly cacheDir: string;
}

/** What a daemon is asked to do in a measurement: its data plane with the engine's relays in it, and nothing else of it. */
export type StageMessage =
  | { readonly type: "start"; readonly encrypted: boolean }
  | { readonly type: "offer"; readonly peerFingerprint: string; readonly port: number; readonly stage: BenchStage }
  | {
      readonly type: "listen";
      readonly port: number;
      readonly fingerprint: string;
      readonly ticket: Uint8Array;
      readonly stage: BenchStage;
      /** Whether results go from stage to stage, else by way of the head's engine. */
      readonly passing: boolean;
    }
  | { readonly type: "stages" }
  | { readonly type: "close" }
  | { readonly type: "profile" };

/** One stage as the head's end saw it. */
export interface StageFigures {
  readonly timing: StageMeter["timing"];
  readonly spans: readonly WorkSpan[];
  readonly load: StageLoadSummary;
  /** Bytes between the two daemons, without TLS's own. */
  readonly traffic: Traffic;
}

interface OpenModel {
  readonly file: ModelFile;
  readonly table: WeightTable;
  readonly digests: ReturnType<typeof createWeightDigests>;
}

const MEMORY_EXTRA_BYTES: number = 1024 ** 3;
const models = new Map<string, OpenModel>();
const stages: { readonly relay: HeadStage; readonly traffic: Traffic }[] = [];
let opened = new AsyncDisposableStack();
let board: CopyBoard | undefined;
let plane: DataPlane | undefined;
let stopProfile: (() => Promise<readonly SelfTime[]>) | null = null;

async function start(encrypted: boolean): Promise<DataPlane> {
  const folder = await mkdtemp(join(tmpdir(), "clusterd-bench-"));
  try {
    const certificate = await loadCertificate(join(folder, "certificate.pem"));
    const trustedLinks = encrypted ? [] : [parseTrustedLink("127.0.0.0/8")];
    return await startDataPlane({ certificate, listen: "127.0.0.1", port: 0, trustedLinks });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A model's file is looked at once, as a daemon does. */
async function openModel({ model, cacheDir }: BenchStage): Promise<OpenModel> {
  const known = models.get(model);
  if (known !== undefined) return known;
  const signal = AbortSignal.timeout(60_000);
  const file = await readModelFile(model, { signal, cacheDir });
  const table = await readWeightTable(file, signal);
  const entry = { file, table, digests: createWeightDigests({ file, table, cacheDir }) };
  models.set(model, entry);
  return entry;
}

async function offer(
  at: DataPlane,
  { peerFingerprint, port, stage }: Extract<StageMessage, { type: "offer" }>,
): Promise<Uint8Array> {
  const { file, table, digests } = await openModel(stage);
  const groups = groupsOf(stage);
  if (stage.localWeights) await digests.of(groups, AbortSignal.timeout(120_000));
  const own = new Set(groups);
  const places = new Map([...table].filter(([name]) => own.has(groupOf(name))));
  const memoryBytes = [...places.values()].reduce((sum, { bytes }) => sum + bytes, MEMORY_EXTRA_BYTES);
  const weights = stage.localWeights ? { parts: file.parts, places } : null;
  const made = at.offer({
    peerFingerprint,
    target: { host: "127.0.0.1", port },
    kind: "rpc",
    label: "bench",
    carry: async (local, remote) => {
      const relay = createWorkerRelay({ memoryBytes, weights, readsWeights: stage.localWeights });
      return tell(await joinSockets(local, remote, { sent: 0, received: 0 }, relay));
    },
  });
  opened.use(made);
  return made.ticket;
}

async function listen(
  at: DataPlane,
  { port, fingerprint, ticket, stage, passing }: Extract<StageMessage, { type: "listen" }>,
): Promise<number> {
  const { file, table, digests } = await openModel(stage);
  const groups = groupsOf(stage);
  const known = stage.localWeights ? await digests.of(groups, AbortSignal.timeout(120_000)) : groups.map(() => "unknown");
  const held = groups.map(() => stage.localWeights);
  if (passing) board ??= opened.use(createCopyBoard());
  const relay = opened.use(
    createHeadStage({
      ...(board === undefined ? {} : { copies: board }),
      ...stageWeights(table, groups, known, held),
      hiddenBytes: file.profile.hiddenBytes,
      packs: true,
      decodeTokensMax: stage.slots,
      probe: () => Promise.resolve(true),
      onLost: (reason) => tell(new Error(reason)),
      onStalled: (reason) => tell(new Error(reason)),
    }),
  );
  const traffic: Traffic = { sent: 0, received: 0 };
  const tunnel = await at.listen({
    address: "127.0.0.1",
    ...{ port, fingerprint, ticket },
    peerName: "worker",
    carry: async (local, remote) => tell(await joinSockets(local, remote, traffic, relay.connection())),
  });
  opened.use(tunnel);
  stages.push({ relay, traffic });
  return tunnel.port;
}

/** A measurement whose tunnels break says so; that an engine which is stopped hangs up is no news. */
function tell(error: Error | null): Error | null {
  if (error !== null && !/closed the connection|ECONNRESET|EPIPE/.test(error.message)) console.error(error.message);
  return error;
}

answerParent(async (asked) => {
  const message = asked as StageMessage;
  if (message.type === "start") {
    plane ??= await start(message.encrypted);
    return { port: plane.port, fingerprint: plane.fingerprint };
  }
  if (plane === undefined) throw new Error("it was not started");
  switch (message.type) {
    case "offer":
      return offer(plane, message);
    case "listen":
      return listen(plane, message);
    case "stages":
      return stages.map(({ relay: { meter, load }, traffic }): StageFigures => ({
        ...{ timing: meter.timing, spans: meter.spans },
        ...{ load: load.summary, traffic },
      }));
    case "close":
      await opened.disposeAsync();
      opened = new AsyncDisposableStack();
      board = undefined;
      stages.length = 0;
      return null;
    case "profile": {
      if (stopProfile === null) {
        stopProfile = await startProfile();
        return [];
      }
      const stop = stopProfile;
      stopProfile = null;
      return stop();
    }
    default:
      throw new Error("it was asked for something else");
  }
});
