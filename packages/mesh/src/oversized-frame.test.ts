import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Libp2p, Stream } from "@libp2p/interface";
import { multiaddr, type Multiaddr } from "@multiformats/multiaddr";
import { CONTROL_FRAME_BYTES_MAX, encodeFrame } from "@clusterd/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openChannel } from "./channel.ts";
import { loadIdentity } from "./identity.ts";
import { createNode } from "./libp2p-node.ts";
import { SESSION_PROTOCOL } from "./membership/meetings.ts";

const PROCESS = fileURLToPath(new URL("./testing/mesh-process.ts", import.meta.url));
const GROWTH_BYTES_MAX = 16 * 1024 * 1024;
const ATTACKS = 6;
const ATTACK_BYTES = 64 * 1024 * 1024;
const FOUR_GIB_LESS_ONE = Buffer.of(0xff, 0xff, 0xff, 0xff);

let folder = "";
let member: ChildProcess;
let address: Multiaddr;
let strangers = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-oversized-"));
  member = spawn(process.execPath, [PROCESS, folder], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = (await once(member.stdout ?? member, "data")) as [Buffer];
  address = multiaddr(line.toString().trim());
});
afterAll(async () => {
  member?.stdin?.end();
  if (member !== undefined && member.exitCode === null) await once(member, "exit");
  await rm(folder, { recursive: true, force: true });
});

/** Someone new every time: who sends rubbish is not listened to for a while. */
async function asStranger<Result>(does: (stream: Stream) => Promise<Result>): Promise<Result> {
  const identity = await loadIdentity(join(folder, `stranger-${strangers++}.key`));
  const node: Libp2p = await createNode({ identity, listen: [], port: 0 } as unknown as Parameters<typeof createNode>[0]);
  try {
    const connection = await node.dial(address, { signal: AbortSignal.timeout(5_000) });
    return await does(await connection.newStream(SESSION_PROTOCOL));
  } finally {
    await node.stop();
  }
}

/** What a member answers to a first word: its own. */
const greeted = (): Promise<unknown> =>
  asStranger((stream) => {
    const channel = openChannel(stream);
    channel.send({ clusterd: "1", nonce: new Uint8Array(randomBytes(32)), commit: null, member: false, token: false });
    return channel.receive(AbortSignal.timeout(5_000));
  });

/** Sends a length and bytes behind it; the bytes that went before the other side had enough. */
const sentBefore = (length: Uint8Array, bytes: number): Promise<number> =>
  asStranger(async (stream) => {
    const { promise: cut, resolve } = Promise.withResolvers<void>();
    stream.addEventListener("close", () => resolve());
    const piece = randomBytes(256 * 1024);
    let sent = 0;
    try {
      stream.send(length);
      for (; sent < bytes && stream.status === "open"; sent += piece.length)
        if (!stream.send(piece)) await Promise.race([stream.onDrain(), cut]);
    } catch {
      // Cut in the middle of it.
    }
    await cut;
    return sent;
  });

/** The most memory it has had at a time since the last reset; bytes. */
async function peakBytes(): Promise<number> {
  const status = await readFile(`/proc/${member.pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

test.skipIf(!existsSync("/proc/self/clear_refs"))(
  "a frame of 4 GB costs its sender the connection, and its reader no memory",
  async () => {
    // What a first connection loads stays loaded.
    expect(await greeted()).toMatchObject({ clusterd: "1" });
    await sentBefore(FOUR_GIB_LESS_ONE, ATTACK_BYTES);
    await writeFile(`/proc/${member.pid}/clear_refs`, "5");
    const before = await peakBytes();
    expect(before).toBeGreaterThan(0);
    for (let attack = 0; attack < ATTACKS; attack += 1)
      expect(await sentBefore(FOUR_GIB_LESS_ONE, ATTACK_BYTES)).toBeLessThan(ATTACK_BYTES / 4);
    expect((await peakBytes()) - before).toBeLessThan(GROWTH_BYTES_MAX);
    // It is there for others; and a frame as large as it may be is read to its end before it is found to be rubbish.
    expect(await greeted()).toMatchObject({ clusterd: "1" });
    const most = encodeFrame(new Uint8Array(CONTROL_FRAME_BYTES_MAX)).subarray(0, FOUR_GIB_LESS_ONE.length);
    expect(await sentBefore(most, CONTROL_FRAME_BYTES_MAX)).toBe(CONTROL_FRAME_BYTES_MAX);
  },
);
