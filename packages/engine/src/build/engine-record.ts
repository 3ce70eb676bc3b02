import { access, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Engine, EngineDevice } from "./engine.ts";

const FORMAT = 2;
const RECORD_FILE = "engine.json";

function isDevice(value: unknown): value is EngineDevice {
  const device = value as Partial<EngineDevice> | null;
  return (
    typeof device === "object" &&
    device !== null &&
    typeof device.id === "string" &&
    typeof device.name === "string" &&
    typeof device.memoryBytes === "number"
  );
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

/** What a record says, bound to the folder it lies in or names; null where it is none of ours. */
export function parseRecord(text: string, recordDir: string): Engine | null {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || value["format"] !== FORMAT) return null;
  const { dir = recordDir, llamaServer, rpcServer, llamaCpp, rpcProtocol, fingerprint, devices, localWeights, notes } = value;
  const texts = [dir, llamaServer, rpcServer, llamaCpp, rpcProtocol, fingerprint];
  if (typeof localWeights !== "boolean") return null;
  if (!isStrings(texts) || !Array.isArray(devices) || !devices.every(isDevice) || !isStrings(notes)) return null;
  const [folder = "", server = "", worker = "", version = "", protocol = "", print = ""] = texts;
  return {
    dir: folder,
    llamaServer: join(folder, server),
    rpcServer: join(folder, worker),
    llamaCpp: version,
    rpcProtocol: protocol,
    fingerprint: print,
    devices,
    localWeights,
    notes,
  };
}

/** Writes what an engine said of itself into a folder; `movable`: the record goes where its folder goes. */
export async function writeRecord(folder: string, engine: Engine, movable: boolean, file: string = RECORD_FILE): Promise<void> {
  const base = dirname(engine.llamaServer);
  const record = {
    format: FORMAT,
    ...(movable ? {} : { dir: base }),
    llamaServer: engine.llamaServer.slice(base.length + 1),
    rpcServer: engine.rpcServer.slice(base.length + 1),
    llamaCpp: engine.llamaCpp,
    rpcProtocol: engine.rpcProtocol,
    fingerprint: engine.fingerprint,
    devices: engine.devices,
    localWeights: engine.localWeights,
    notes: engine.notes,
  };
  const path = join(folder, file);
  const fresh = `${path}.${process.pid}`;
  await writeFile(fresh, `${JSON.stringify(record, null, 2)}\n`);
  await rename(fresh, path);
}

/** The engine a record tells of, where its programs are still there; else null. Starts nothing. */
export async function readRecord(folder: string, file: string = RECORD_FILE): Promise<Engine | null> {
  const text = await readFile(join(folder, file), "utf8").catch(() => null);
  const engine = text === null ? null : parseRecord(text, folder);
  if (engine === null) return null;
  try {
    await Promise.all([access(engine.llamaServer), access(engine.rpcServer)]);
    return engine;
  } catch {
    return null;
  }
}
