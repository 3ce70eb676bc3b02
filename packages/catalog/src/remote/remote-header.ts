import { ClusterdError } from "@clusterd/wire";
import { HEADER_BYTES_MAX, HEADER_WINDOW_BYTES } from "../limits.ts";
import type { HeaderSource } from "../header-cursor.ts";
import type { HubFile } from "./choose-files.ts";
import type { HubConfig } from "./hub-config.ts";
import { FIRST_RANGE_BYTES, RANGE_BYTES_MAX } from "./hub-limits.ts";
import { hubGet } from "./hub-request.ts";

/** A file on a hub as far as it was read: from its start, by ranges, as the walk over its header asks for more. */
export interface RemoteStart extends HeaderSource {
  /** Of the whole file. */
  readonly fileBytes: number;
  /** What was read, at least its first `bytes` bytes. */
  start(bytes: number): Buffer;
}

/** Opens a file of a repository at a commit. Throws `unsupported` where the server knows no ranges, `failed` where the file is another than listed. */
export async function openRemoteStart(
  config: HubConfig,
  place: { readonly repo: string; readonly commit: string; readonly file: HubFile },
  signal: AbortSignal,
): Promise<RemoteStart> {
  const { repo, commit, file } = place;
  const path = `/${repo}/resolve/${commit}/${file.path.split("/").map(encodeURIComponent).join("/")}`;
  const other = (what: string): ClusterdError =>
    new ClusterdError("failed", `${repo}: ${file.path} ${what}.`, {
      next: "Try again; if it stays so, try another copy of the model.",
    });
  let read = Buffer.alloc(0);
  let fileBytes = file.bytes;
  let range = FIRST_RANGE_BYTES;

  async function readOn(): Promise<void> {
    const first = read.length;
    const last = Math.min(first + range, fileBytes ?? Infinity) - 1;
    const { status, headers, body } = await hubGet(
      config,
      { path, repo, range: [first, last], mayLeave: true },
      last - first + 1,
      signal,
    );
    const said = /^bytes (\d+)-(\d+)\/(\d+)$/u.exec(headers.get("content-range") ?? "");
    if (status !== 206 || said === null)
      throw new ClusterdError(
        "unsupported",
        `${new URL(config.endpoint).host} does not serve parts of files, and a header is only a part.`,
        {
          next: "Unset HF_ENDPOINT, or fetch the file yourself and give its path.",
        },
      );
    const total = Number(said[3]);
    if (Number(said[1]) !== first) throw other(`came from byte ${said[1]}, not from ${first}`);
    if (fileBytes !== null && total !== fileBytes) throw other(`is ${total} bytes, not the ${fileBytes} that are listed`);
    fileBytes = total;
    if (body.length < Math.min(last + 1, total) - first)
      throw other(`was cut short by the server after ${first + body.length} bytes`);
    read = Buffer.concat([read, body]);
    range = Math.min(range * 2, RANGE_BYTES_MAX);
  }

  // Also the size, where the listing did not tell it.
  if (fileBytes === null || fileBytes > 0) await readOn();
  const size = fileBytes ?? read.length;
  return {
    fileBytes: size,
    start: (bytes) => read.subarray(0, bytes),
    async read(buffer, offset, length, position) {
      // The walk asks for a window at a time; what lies in it beyond the header's end is not needed, so that one byte more is enough.
      while (read.length <= position && read.length < Math.min(size, HEADER_BYTES_MAX + HEADER_WINDOW_BYTES)) await readOn();
      const bytesRead = Math.max(0, Math.min(length, read.length - position));
      read.copy(buffer, offset, position, position + bytesRead);
      return { bytesRead };
    },
  };
}
