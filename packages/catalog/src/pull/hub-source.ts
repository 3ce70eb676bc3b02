import { ClusterdError } from "@clusterd/wire";
import type { HubConfig } from "../remote/hub-config.ts";
import { SILENCE_MS_MAX } from "../remote/hub-limits.ts";
import { hubOpen, type HubRequest } from "../remote/hub-request.ts";

/** Bytes of a file, from somewhere. */
export interface RangeSource {
  /** Of whom it is said where something goes wrong. */
  readonly name: string;
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
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** A file of a repository at a commit. Where the hub sends one for it is remembered: signed addresses hold for a while. */
export function hubSource(
  config: HubConfig,
  { repo, commit, path }: { readonly repo: string; readonly commit: string; readonly path: string },
): RangeSource {
  const request: HubRequest = {
    path: `/${repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`,
    repo,
    mayLeave: true,
  };
  const name = new URL(config.endpoint).host;
  let known: URL | undefined;
  let tag: string | undefined;
  return {
    name,
    async open(range, signal) {
      const quiet = new AbortController();
      const timer = setTimeout(() => quiet.abort(), SILENCE_MS_MAX);
      const ended = AbortSignal.any([signal, quiet.signal]);
      const silent = (thrown: unknown): unknown =>
        quiet.signal.aborted && !signal.aborted
          ? new ClusterdError("timeout", `${name} sent nothing for ${SILENCE_MS_MAX / 1000} seconds.`, { cause: thrown })
          : thrown;
      const asked: HubRequest = { ...request, range, ...(tag === undefined ? {} : { ifRange: tag }) };
      try {
        let answer;
        try {
          answer = await hubOpen(config, asked, ended, known);
        } catch (error) {
          if (known === undefined || ended.aborted) throw error;
          // The address may have run out: the hub gives another.
          known = undefined;
          answer = await hubOpen(config, asked, ended);
        }
        known = answer.from;
        const { response } = answer;
        const etag = response.headers.get("etag");
        if (tag === undefined && etag !== null && !etag.startsWith("W/")) tag = etag;
        const said = /^bytes (\d+)-(\d+)\/(\d+)$/u.exec(response.headers.get("content-range") ?? "");
        const isWhole = response.status !== 206 || said === null;
        if (!isWhole && Number(said[1]) !== range[0])
          throw new ClusterdError("failed", `${name} sent ${path} from byte ${said[1]}, not from ${range[0]}.`);
        const length = Number(response.headers.get("content-length") ?? Number.NaN);
        return {
          isWhole,
          fileBytes: isWhole ? (Number.isSafeInteger(length) ? length : null) : Number(said[3]),
          bytes: watched(response, timer, silent),
        };
      } catch (error) {
        clearTimeout(timer);
        throw silent(error);
      }
    },
  };
}

async function* watched(
  response: Response,
  timer: NodeJS.Timeout,
  silent: (thrown: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of (response.body ?? []) as unknown as AsyncIterable<Uint8Array>) {
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
