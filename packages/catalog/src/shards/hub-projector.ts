import { join, posix } from "node:path";
import type { HubPlace } from "@clusterd/wire";
import { isProjectorName } from "../choose-projector.ts";
import { pullPath } from "../pull/pull-path.ts";
import { downloadFile } from "../pull/download-file.ts";
import { hubSource } from "../pull/hub-source.ts";
import { sizeOf } from "../pull/size-of.ts";
import { hubConfig } from "../remote/hub-config.ts";

export interface HubProjectorOptions {
  /** Where the model's own files lie here. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/**
 * Fetches what lets a model see images beside a head's part of it; false where there is nothing to fetch. The place is one that `hubModel` has
 * taken. Throws as {@link downloadFile}.
 */
export async function fetchHubProjector({ repo, commit, projector }: HubPlace, options: HubProjectorOptions): Promise<boolean> {
  const { folder, env, signal } = options;
  if (projector === null || projector === undefined || !isProjectorName(projector.path)) return false;
  const { path, bytes } = projector;
  // For its checks: a name that leads elsewhere is none.
  pullPath(folder, repo, path);
  const target = join(folder, posix.basename(path));
  if ((await sizeOf(target)) === bytes) return false;
  const source = hubSource(hubConfig(env), { repo, commit, path });
  await downloadFile({ source, target, fileBytes: bytes, sha256: null, signal, onProgress: () => undefined });
  return true;
}
