import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test as property } from "@fast-check/vitest";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseRecord, readRecord, writeRecord } from "./engine-record.ts";
import type { Engine } from "./engine.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-record-"));
});
afterEach(() => rm(folder, { recursive: true }));

function engineIn(dir: string): Engine {
  return {
    dir,
    llamaServer: join(dir, "llama-server"),
    rpcServer: join(dir, "ggml-rpc-server"),
    llamaCpp: "v0.5.0",
    rpcProtocol: "7.0.0",
    fingerprint: "0123456789abcdef0123",
    devices: [{ id: "CUDA0", name: "card", memoryBytes: 1 }],
    localWeights: true,
    notes: ["a note"],
  };
}

describe("an engine's record", () => {
  test("comes back as it was, as long as the programs are there", async () => {
    const engine = engineIn(folder);
    await writeRecord(folder, engine, true);
    expect(await readRecord(folder)).toBeNull();
    await Promise.all([writeFile(engine.llamaServer, ""), writeFile(engine.rpcServer, "")]);
    expect(await readRecord(folder)).toEqual(engine);
  });

  test("goes with its folder when movable, names it when not", async () => {
    const engine = engineIn("/somewhere");
    await writeRecord(folder, engine, false, "foreign.json");
    const read = async (file: string): Promise<string> => (await import("node:fs/promises")).readFile(join(folder, file), "utf8");
    expect(parseRecord(await read("foreign.json"), folder)).toEqual(engine);
    await writeRecord(folder, engine, true, "own.json");
    expect(parseRecord(await read("own.json"), "/elsewhere")).toEqual(engineIn("/elsewhere"));
  });

  property.prop([fc.json()])("is nothing where the file is something else", (text) => {
    expect(parseRecord(text, "/x")).toBeNull();
  });
});
