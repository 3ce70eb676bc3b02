import { createHash } from "node:crypto";
import { unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import type { HomePaths } from "./paths.ts";

/** A Unix socket's path has at most 104 bytes on macOS, 108 on Linux. */
const SOCKET_PATH_BYTES_MAX = 100;

/** Where the lock of a home is: a socket in it, a short name elsewhere when its path is too long, a named pipe on Windows. */
function lockAddress(paths: HomePaths): string {
  const digest = createHash("sha256").update(paths.home).digest("hex").slice(0, 16);
  if (process.platform === "win32") return `\\\\.\\pipe\\clusterd-${digest}`;
  return Buffer.byteLength(paths.lock) <= SOCKET_PATH_BYTES_MAX ? paths.lock : join(tmpdir(), `clusterd-${digest}.sock`);
}

/**
 * Holds a home for one daemon. The lock is a listening socket: the system lets go of it when the process ends in any way, so
 * nothing can be left locked, and no process number is ever guessed at. Throws `already_running` where another daemon holds it.
 */
export async function lockHome(paths: HomePaths): Promise<AsyncDisposable> {
  const address = lockAddress(paths);
  let server = await listen(address);
  if (server === null) {
    if (await answers(address)) {
      throw new ClusterdError("already_running", `A clusterd daemon is already running for ${paths.home}.`, {
        next: "Use it (clusterd status), stop it first, or give this one a home of its own with --home DIR.",
      });
    }
    await unlink(address).catch(() => undefined);
    server = await listen(address);
  }
  if (server === null) throw new ClusterdError("already_running", `Another clusterd daemon has just started for ${paths.home}.`);
  const held = server;
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      await new Promise<void>((done) => held.close(() => done()));
    },
  };
}

function listen(address: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(null) : reject(error)));
    server.listen(address, () => resolve(server));
    server.unref();
  });
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
