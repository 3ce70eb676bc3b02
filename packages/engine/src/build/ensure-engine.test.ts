import { chmod, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { askRpcProtocol, greetRpcServer, helloRequest, parseHelloAnswer } from "./ask-engine.ts";
import { engineCacheFolder } from "./cache-folder.ts";
import { runCommand } from "./command.ts";
import type { Engine } from "./engine.ts";
import { ensureEngine, findEngine } from "./ensure-engine.ts";
import { ENGINE_RPC_PROTOCOL } from "./rpc-protocol.ts";

/** The first build on a machine; from then on it is in the cache. */
const BUILD_TIMEOUT_MS = 20 * 60_000;

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-engine-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const SCRIPT = `
  import { ensureEngine } from ${JSON.stringify(new URL("ensure-engine.ts", import.meta.url).href)};
  try {
    console.log(JSON.stringify({ engine: await ensureEngine() }));
  } catch (error) {
    console.log(JSON.stringify({ code: error.code, message: error.message, next: error.next }));
  }`;

interface Outcome {
  readonly engine?: Engine;
  readonly code?: string;
  readonly message?: string;
  readonly next?: string;
}

/** ensureEngine in a process with an environment of its own. */
async function ensureWith(env: Readonly<Record<string, string | undefined>>): Promise<Outcome> {
  const args = ["--input-type=module-typescript", "-e", SCRIPT];
  const { output } = await runCommand(process.execPath, args, { env: { ...process.env, ...env }, timeoutMs: BUILD_TIMEOUT_MS });
  return JSON.parse(output.slice(output.indexOf("{"))) as Outcome;
}

describe("the engine", () => {
  test("is there, whole, and says itself what it speaks", { timeout: BUILD_TIMEOUT_MS }, async () => {
    const engine = await ensureEngine();
    expect(engine.rpcProtocol).toBe(ENGINE_RPC_PROTOCOL);
    expect(await askRpcProtocol(engine.rpcServer)).toBe(ENGINE_RPC_PROTOCOL);
    expect((await runCommand(engine.llamaServer, ["--help"])).output).toContain("--rpc");
    // The second time it is a matter of reading a file.
    expect(await ensureEngine()).toEqual(engine);
    expect(await findEngine()).toEqual(engine);
  });

  test("named by CLUSTERD_ENGINE_DIR is used, under a fingerprint of its own", { timeout: BUILD_TIMEOUT_MS }, async () => {
    const own = await ensureEngine();
    for (const name of ["llama-server", "ggml-rpc-server"]) await symlink(join(own.dir, name), join(folder, name));
    const { engine } = await ensureWith({ CLUSTERD_ENGINE_DIR: folder, XDG_CACHE_HOME: join(folder, "cache") });
    expect(engine).toMatchObject({ dir: folder, rpcProtocol: ENGINE_RPC_PROTOCOL });
    expect(engine?.fingerprint).not.toBe(own.fingerprint);
  });

  test("named by CLUSTERD_ENGINE_DIR must be whole", async () => {
    await writeFile(join(folder, "llama-server"), "");
    const outcome = await ensureWith({ CLUSTERD_ENGINE_DIR: folder });
    expect(outcome).toMatchObject({ code: "engine_missing" });
    expect(outcome.message).toContain("ggml-rpc-server");
    expect(outcome.message).not.toContain("lacks llama-server");
  });

  test("named by CLUSTERD_ENGINE_DIR must run", async () => {
    for (const name of ["llama-server", "rpc-server"]) {
      await writeFile(join(folder, name), "#!/bin/sh\nexit 7\n");
      await chmod(join(folder, name), 0o755);
    }
    const outcome = await ensureWith({ CLUSTERD_ENGINE_DIR: folder, XDG_CACHE_HOME: join(folder, "cache") });
    expect(outcome.code).toBe("engine_missing");
    expect(outcome.message).toMatch(/status 7|does not say/);
  });

  test("cannot be built without CMake and a compiler: both are named, with what to install", async () => {
    const git = (await runCommand("sh", ["-c", "command -v git"])).output.trim();
    await symlink(git, join(folder, "git"));
    const outcome = await ensureWith({
      PATH: folder,
      CXX: undefined,
      CLUSTERD_ENGINE_DIR: "",
      XDG_CACHE_HOME: join(folder, "cache"),
    });
    expect(outcome.code).toBe("engine_missing");
    expect(outcome.message).toMatch(/CMake, a C\+\+17 compiler/);
    expect(outcome.message).not.toContain("git");
    expect(outcome.next).toMatch(/install/i);
  });

  test("on PATH serves where none can be built", { timeout: BUILD_TIMEOUT_MS }, async () => {
    const own = await ensureEngine();
    const outcome = await ensureWith({
      PATH: own.dir,
      CXX: undefined,
      CLUSTERD_ENGINE_DIR: "",
      XDG_CACHE_HOME: join(folder, "cache"),
    });
    expect(outcome.engine).toMatchObject({ dir: own.dir, rpcProtocol: ENGINE_RPC_PROTOCOL });
    expect(outcome.engine?.notes.join()).toMatch(/CMake/);
  });

  test("in the cache is found under the folder the environment names", { timeout: BUILD_TIMEOUT_MS }, async () => {
    const own = await ensureEngine();
    expect(own.dir).toBe(join(engineCacheFolder(), own.fingerprint));
  });
});

describe("the greeting", () => {
  test("is one frame of command 14 with 24 bytes", () => {
    const frame = helloRequest();
    expect([frame.length, frame[0], frame.readBigUInt64LE(1)]).toEqual([33, 14, 24n]);
  });

  test("is understood only where the answer is one", () => {
    const answer = Buffer.alloc(36);
    answer.writeBigUInt64LE(28n, 0);
    answer.set([7, 0, 3], 8);
    expect(parseHelloAnswer(answer)).toBe("7.0.3");
    expect(parseHelloAnswer(answer.subarray(0, 35))).toBeNull();
    answer.writeBigUInt64LE(29n, 0);
    expect(parseHelloAnswer(answer)).toBeNull();
  });

  test("gives up on a server that is none of llama.cpp's", async () => {
    const server = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".repeat(2)));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await expect(greetRpcServer(port, AbortSignal.timeout(20_000))).rejects.toThrow(/no version/);
    server.close();
  });

  test("of a program that is not there fails by name", async () => {
    await expect(askRpcProtocol(join(folder, "nothing"))).rejects.toMatchObject({ code: "engine_missing" });
  });
});
