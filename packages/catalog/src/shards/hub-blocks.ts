import { posix } from "node:path";
import { ClusterdError, type HubPlace } from "@clusterd/wire";
import { newContentHash, walkHeader } from "../header-guard.ts";
import { hubConfig } from "../remote/hub-config.ts";
import { openRemoteStart } from "../remote/remote-header.ts";
import { hubSource } from "../pull/hub-source.ts";
import { throttledSource, type Throttle } from "../pull/throttled-source.ts";
import type { BlockSource } from "./fetch-blocks.ts";
import type { ShardHeaders } from "./shard-store.ts";

/** Ranges asked for at a time. */
const CONNECTIONS = 4;
const REPO = /^[\w][\w.-]{0,95}\/[\w][\w.-]{0,95}$/u;
const COMMIT = /^[0-9a-f]{7,64}$/u;

export interface HubModel {
  readonly headers: ShardHeaders;
  /** What it holds of everything is everything; its bytes are trusted as its TLS is, for it tells the digests of whole files only. */
  readonly source: BlockSource;
}

/** A model on the hub of this node's configuration, as a source of its blocks. Throws `usage` for a place that is none. */
export function hubModel(
  place: HubPlace,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
  throttle?: Throttle,
): HubModel {
  const config = hubConfig(env);
  const { repo, commit, files } = place;
  const isPlain = (path: string): boolean => path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  if (!REPO.test(repo) || !COMMIT.test(commit) || files.length === 0 || !files.every(({ path }) => isPlain(path)))
    throw new ClusterdError("usage", "That is no place on a hub.");
  if (config.offline)
    throw new ClusterdError("not_found", `${repo} is not here, and HF_HUB_OFFLINE is set.`, { next: "Unset HF_HUB_OFFLINE." });
  const parts = files.map(({ path }) => throttledSource(hubSource(config, { repo, commit, path }), throttle));
  const name = new URL(config.endpoint).host;
  return {
    headers: {
      names: files.map(({ path }) => posix.basename(path)),
      partBytes: files.map(({ bytes }) => bytes),
      async header(part) {
        const { path, bytes } = files[part] ?? { path: "", bytes: 0 };
        const remote = await openRemoteStart(config, { repo, commit, file: { path, bytes, sha256: null } }, signal);
        const { dataStart } = await walkHeader(remote, path, remote.fileBytes, newContentHash(), signal);
        return remote.start(dataStart);
      },
    },
    source: {
      name,
      kind: "hub",
      connections: CONNECTIONS,
      has: () => true,
      async read(block, within) {
        const source = parts[block.part];
        if (source === undefined) throw new ClusterdError("failed", `${name} has no part ${block.part} of ${repo}.`);
        const answer = await source.open([block.position, block.position + block.bytes - 1], within);
        if (answer.isWhole)
          throw new ClusterdError("unsupported", `${name} does not serve parts of files.`, {
            next: `Fetch all of it on one machine: clusterd pull hf:${repo}`,
          });
        const bytes = Buffer.allocUnsafe(block.bytes);
        let at = 0;
        for await (const chunk of answer.bytes) {
          if (at + chunk.length > block.bytes)
            throw new ClusterdError("failed", `${name} sends more than the ${block.bytes} bytes that were asked for.`);
          bytes.set(chunk, at);
          at += chunk.length;
        }
        // Read to its end: a connection left before that is closed, and each block would begin with a new one.
        if (at === block.bytes) return bytes;
        throw new ClusterdError("timeout", `${name} hung up after ${at} of ${block.bytes} bytes.`);
      },
    },
  };
}
