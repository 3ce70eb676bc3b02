// What the two ends of a tunnel say to each other while a model is loaded and asked for the first time, by command: frames and bytes each
// way, as they are and packed. One worker with all layers and its own weights, the engine's real talk, both ends of our relay.
// Usage: node scripts/bench/load-frames.ts [--model FILE.gguf] [--json]
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readModelFile } from "../../packages/catalog/src/read-model.ts";
import { readWeightTable } from "../../packages/catalog/src/weight-table.ts";
import { ensureEngine, startHead, startWorker, type Engine } from "../../packages/engine/src/index.ts";
import { COMMAND_RULES } from "../../packages/engine/src/rpc/command-rules.ts";
import { createFramePacker, createFrameUnpacker } from "../../packages/engine/src/rpc/frame-packing.ts";
import { createHeadStage } from "../../packages/engine/src/rpc/head-stage.ts";
import {
  COMMAND,
  INJECTED,
  PONG,
  readSize,
  REQUEST_PREFIX_BYTES,
  RESPONSE_PREFIX_BYTES,
} from "../../packages/engine/src/rpc/protocol.ts";
import type { RelayEnd } from "../../packages/engine/src/rpc/relay-end.ts";
import { relayWorker } from "../../test/fixtures/relayed-worker.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../../models/demo-16l-q8_0.gguf", import.meta.url)) },
    json: { type: "boolean", default: false },
  },
});
const MEMORY_BYTES: number = 16 * 1024 ** 3;
const PROMPTS: readonly string[] = ["What is the capital of France?", "And what, by the way, is the capital of Japan?"];
const ANSWER_TOKENS = 8;
const CPU_ROUNDS = 30;

interface Count {
  frames: number;
  bytes: number;
}
type Counts = Map<string, Count>;

/** Cuts a copy of what passes one way into frames. */
function countFrames(
  prefixBytes: number,
  bytesOf: (prefix: Buffer) => number,
  note: (frame: Buffer) => void,
): (chunk: Buffer) => void {
  let stream = Buffer.alloc(0);
  return (chunk) => {
    stream = Buffer.concat([stream, chunk]);
    while (stream.length >= prefixBytes) {
      const bytes = prefixBytes + bytesOf(stream);
      if (stream.length < bytes) return;
      note(stream.subarray(0, bytes));
      stream = stream.subarray(bytes);
    }
  };
}

const nameOf = (command: number): string =>
  COMMAND_RULES.get(command)?.name ??
  (command === COMMAND.inject ? "a weight by its name" : command === COMMAND.ping ? "PING" : String(command));

/** What goes up as it is, in order: packing it again tells what packing costs. */
const sentFrames: Buffer[] = [];

/** The head's end of a connection, whose talk with the other end is counted. */
function counted(relay: RelayEnd, counts: Counts): RelayEnd {
  const add = (name: string, bytes: number): void => {
    const count = counts.get(name) ?? { frames: 0, bytes: 0 };
    counts.set(name, { frames: count.frames + 1, bytes: count.bytes + bytes });
  };
  const up = countFrames(
    REQUEST_PREFIX_BYTES,
    (prefix) => readSize(prefix, 1),
    (frame) => {
      const command = frame.readUInt8(0);
      if (command !== COMMAND.packed) sentFrames.push(Buffer.from(frame));
      add(nameOf(command === COMMAND.packed ? frame.readUInt8(REQUEST_PREFIX_BYTES) : command), frame.length);
    },
  );
  const isNote = (prefix: Buffer): boolean => [PONG, INJECTED].includes(prefix.readBigUInt64LE(0));
  const down = countFrames(
    RESPONSE_PREFIX_BYTES,
    (prefix) => (isNote(prefix) ? 0 : prefix.readUIntLE(0, 5)),
    (frame) => add(isNote(frame) ? "← words of the relay's own" : "← answers", frame.length),
  );
  return {
    ...relay,
    begin: (wires) =>
      relay.begin({
        ...wires,
        toRemote(bytes) {
          up(bytes);
          wires.toRemote(bytes);
        },
      }),
    fromRemote(chunk) {
      down(chunk);
      return relay.fromRemote(chunk);
    },
  };
}

async function measure(engine: Engine, packs: boolean): Promise<readonly Counts[]> {
  await using stack = new AsyncDisposableStack();
  const signal = AbortSignal.timeout(300_000);
  const file = await readModelFile(values.model, { signal });
  const table = await readWeightTable(file, signal);
  const worker = stack.use(await startWorker({ engine, threads: 1, deviceId: null, signal, weightFiles: file.parts }));
  const stage = stack.use(
    createHeadStage({
      weights: new Map([...table].map(([name, { bytes }]) => [name, bytes])),
      ...{ layers: [], local: new Set(table.keys()), missing: new Set(), packs },
      ...{ hiddenBytes: file.profile.hiddenBytes, decodeTokensMax: 1, probe: () => Promise.resolve(true) },
      ...{ onLost: (reason: string) => console.error(reason), onStalled: (reason: string) => console.error(reason) },
    }),
  );
  const phases: Counts[] = [new Map()];
  const tapped = { ...stage, connection: () => counted(stage.connection(), all), [Symbol.dispose]: () => undefined };
  /** Where a connection outlives a phase: the latest one's books. */
  const all: Counts = new Map();
  const close = (): void => {
    const before = phases.slice(0, -1);
    const sum = (name: string, what: keyof Count): number =>
      before.reduce((total, phase) => total + (phase.get(name)?.[what] ?? 0), 0);
    for (const [name, { frames, bytes }] of all)
      phases.at(-1)?.set(name, { frames: frames - sum(name, "frames"), bytes: bytes - sum(name, "bytes") });
    phases.push(new Map());
  };
  const weights = { parts: file.parts, places: table };
  const relayed = stack.use(await relayWorker(worker.port, tapped, { memoryBytes: MEMORY_BYTES, weights, readsWeights: true }));
  const layerCount = file.profile.layers.length;
  const head = stack.use(
    await startHead({
      ...{ engine, modelPath: values.model, modelId: "bench", layerCount, context: 1024, slots: 1, kv: "f16" },
      layers: { head: 0, workers: [{ endpoint: relayed.endpoint, layers: layerCount }] },
      ...{ threads: 1, acceleratorId: null, mapped: true, signal },
    }),
  );
  close();
  for (const content of PROMPTS) {
    const response = await fetch(`http://127.0.0.1:${head.port}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${head.apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ messages: [{ role: "user", content }], temperature: 0, max_tokens: ANSWER_TOKENS }),
    });
    if (!response.ok) throw new Error(await response.text());
    await response.json();
  }
  close();
  return phases.slice(0, 2);
}

/** Processor time of both ends for packing all that was sent, ms; the best of some rounds, as others use the machine as well. */
function packingCpu(frames: readonly Buffer[]): { readonly packMs: number; readonly unpackMs: number; readonly packed: number } {
  const took = (work: () => void): number => {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  const rounds = Array.from({ length: CPU_ROUNDS }, () => {
    const [packer, unpacker] = [createFramePacker(), createFrameUnpacker()];
    let packed: Buffer[] = [];
    const packMs = took(() => (packed = frames.flatMap((frame) => packer.pack(frame) ?? [])));
    const unpackMs = took(() => packed.forEach((frame) => unpacker.unpack(frame)));
    return { packMs, unpackMs, packed: packed.length };
  });
  return rounds.reduce((best, round) => (round.packMs + round.unpackMs < best.packMs + best.unpackMs ? round : best));
}

const engine = await ensureEngine();
const plain = await measure(engine, false);
const cpu = packingCpu(sentFrames.splice(0));
const packed = await measure(engine, true);
const rows = ["a load", "two answers"].flatMap((phase, index) => {
  const [before, after] = [plain[index] ?? new Map<string, Count>(), packed[index] ?? new Map<string, Count>()];
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((name) => ({
      ...{ phase, name, frames: before.get(name)?.frames ?? 0, bytes: before.get(name)?.bytes ?? 0 },
      packedFrames: after.get(name)?.frames ?? 0,
      packedBytes: after.get(name)?.bytes ?? 0,
    }))
    .filter(({ frames, packedFrames }) => frames + packedFrames > 0)
    .toSorted((a, b) => b.bytes - a.bytes);
});
if (values.json) console.log(JSON.stringify({ rows, cpu }));
else {
  console.log(`${basename(values.model)}, one worker with all layers.\n`);
  console.log("| | | frames | bytes | frames, packed | bytes, packed |\n| --- | --- | --- | --- | --- | --- |");
  for (const row of rows)
    console.log(
      `| ${Object.values(row)
        .map((cell) => (typeof cell === "number" ? cell.toLocaleString("en") : cell))
        .join(" | ")} |`,
    );
  for (const phase of new Set(rows.map((row) => row.phase))) {
    const sum = (what: "bytes" | "packedBytes"): string =>
      rows
        .filter((row) => row.phase === phase && !row.name.startsWith("←"))
        .reduce((total, row) => total + row[what], 0)
        .toLocaleString("en");
    console.log(`| ${phase} | towards the worker | | ${sum("bytes")} | | ${sum("packedBytes")} |`);
  }
  console.log(
    `\nProcessor time for the ${cpu.packed} frames that are packed: ${cpu.packMs.toFixed(1)} ms at the head, ${cpu.unpackMs.toFixed(1)} ms at the worker.`,
  );
}
