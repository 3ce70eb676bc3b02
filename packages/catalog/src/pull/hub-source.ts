import { ClusterdError } from "@clusterd/wire";
import type { Response } from "undici";
import type { HubConfig } from "../remote/hub-config.ts";
import { SILENCE_MS_MAX } from "../remote/hub-limits.ts";
import { hubOpen, isPlain, type HubRequest, type LinkedFile, type OpenAnswer } from "../remote/hub-request.ts";

/** Bytes of a file, from somewhere. */
export interface RangeSource {
  /** Of whom it is said where something goes wrong. */
  readonly name: string;
  /** What is fetched, for nothing else has the same bytes. */
  readonly identity: string;
  /**
   * The bytes of a range, or of the whole file where `isWhole`: the source then serves no parts, or the file is another than before.
   * Throws a ClusterdError.
   */
  open(range: readonly [number, number], signal: AbortSignal): Promise<RangeAnswer>;
}

export interface RangeAnswer {
  readonly isWhole: boolean;
  /** Of the whole file; null where it is not told. */
  readonly fileBytes: number | null;
  /** Of the whole file, hex, as the source has said by now; null where it has not. */
  readonly sha256: string | null;
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Hangs up: for who does not read the bytes. */
  close(): void;
}

/** Answers of a store that a new address may change: those that were signed hold for a while only. */
const RUN_OUT: ReadonlySet<unknown> = new Set([400, 401, 403, 404, 410]);
const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/u;

/**
 * A file of a repository at a commit. Where the hub sends one for it is remembered: signed addresses hold for a while. With the file's
 * digest known another file under its name is found by that in the end, so that a mere change of its tag costs nothing.
 */
export function hubSource(
  config: HubConfig,
  {
    repo,
    commit,
    path,
    sha256 = null,
  }: { readonly repo: string; readonly commit: string; readonly path: string; readonly sha256?: string | null },
): RangeSource {
  const request: HubRequest = {
    path: `/${repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`,
    repo,
    mayLeave: true,
  };
  const name = new URL(config.endpoint).host;
  let known: URL | undefined;
  let tag: string | undefined;
  let told: LinkedFile = { bytes: null, sha256: null };

  async function answerTo(asked: HubRequest, signal: AbortSignal): Promise<OpenAnswer> {
    const from = known;
    try {
      return await hubOpen(config, asked, signal, from);
    } catch (error) {
      // Another of this file's ranges may have learned a new address meanwhile.
      if (known === from) known = undefined;
      if (error instanceof ClusterdError && error.details?.["status"] === 416)
        throw new ClusterdError("model_broken", `${name} says that ${path} ends before byte ${asked.range?.[0]}.`, {
          cause: error,
        });
      const isOver = from !== undefined && error instanceof ClusterdError && RUN_OUT.has(error.details?.["status"]);
      if (!isOver || signal.aborted) throw error;
      return hubOpen(config, asked, signal);
    }
  }

  return {
    name,
    identity: sha256 ?? `${config.endpoint}${request.path}`,
    async open(range, signal) {
      const end = new AbortController();
      let isQuiet = false;
      const timer = setTimeout(() => {
        isQuiet = true;
        end.abort();
      }, SILENCE_MS_MAX);
      const close = (): void => {
        clearTimeout(timer);
        end.abort();
      };
      const silent = (thrown: unknown): unknown =>
        isQuiet && !signal.aborted
          ? new ClusterdError("timeout", `${name} sent nothing for ${SILENCE_MS_MAX / 1000} seconds.`, { cause: thrown })
          : thrown;
      const within = AbortSignal.any([signal, end.signal]);
      const asked: HubRequest = { ...request, range };
      try {
        let answer = await answerTo(tag === undefined ? asked : { ...asked, ifRange: tag }, within);
        if (answer.response.status === 200 && tag !== undefined && sha256 !== null) {
          // Stored anew, under another tag: what it is decides the digest.
          await answer.response.body?.cancel();
          tag = undefined;
          answer = await answerTo(asked, within);
        }
        const { response, from, linked } = answer;
        known = from;
        if (linked.sha256 !== null || linked.bytes !== null) told = linked;
        if (!isPlain(response))
          throw new ClusterdError("failed", `${name} sent ${path} packed (${response.headers.get("content-encoding")}).`);
        const { isWhole, fileBytes, etag } = measured(response, range, { name, path });
        if (sha256 === null && tag !== undefined && etag !== null && etag !== tag && !isWhole)
          throw new ClusterdError("model_broken", `${name} has put another file in ${path}'s place while it was fetched.`, {
            next: "Fetch it once more: what came of the old one is not used.",
          });
        tag ??= etag ?? undefined;
        const saidBytes = fileBytes ?? told.bytes;
        return { isWhole, fileBytes: saidBytes, sha256: told.sha256, bytes: watched(response, timer, silent), close };
      } catch (error) {
        close();
        throw silent(error);
      }
    },
  };
}

/** What an answer says of itself. A 206 that is not the range that was asked for is none. */
function measured(
  response: Response,
  range: readonly [number, number],
  { name, path }: { readonly name: string; readonly path: string },
): { readonly isWhole: boolean; readonly fileBytes: number | null; readonly etag: string | null } {
  const tag = response.headers.get("etag");
  // A weak tag promises no equal bytes, and is of no use with a range (RFC 9110, 13.1.5).
  const etag = tag === null || tag.startsWith("W/") ? null : tag;
  if (response.status === 200) {
    const length = response.headers.get("content-length") ?? "";
    return { isWhole: true, fileBytes: /^\d{1,15}$/u.test(length) ? Number(length) : null, etag };
  }
  const [, first, last, total] = CONTENT_RANGE.exec(response.headers.get("content-range")?.trim() ?? "") ?? [];
  if (response.status !== 206 || first === undefined || last === undefined)
    throw new ClusterdError("failed", `${name} did not say which bytes of ${path} it sent (${response.status}).`);
  if (Number(first) !== range[0] || Number(last) < range[0])
    throw new ClusterdError("failed", `${name} sent ${path} from byte ${first}, not from ${range[0]}.`);
  return { isWhole: false, fileBytes: total === "*" ? null : Number(total), etag };
}

async function* watched(
  response: Response,
  timer: NodeJS.Timeout,
  silent: (thrown: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      timer.refresh();
      yield chunk;
      timer.refresh();
    }
  } catch (error) {
    throw silent(error);
  } finally {
    clearTimeout(timer);
  }
}
