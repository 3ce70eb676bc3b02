import { appendFile, rename, stat } from "node:fs/promises";
import { ClusterdError } from "@clusterd/wire";

/** A file beyond this is set aside as `FILE.1`, in place of the one before it. */
const FILE_BYTES_MAX: number = 16 * 1024 * 1024;
/** Lines that a slow disk has not taken yet; further ones are left out, and counted. */
const WAITING_LENGTH_MAX: number = 1024 * 1024;

export interface AccessLogOptions {
  readonly path: string;
  readonly bytesMax?: number;
  warn(message: string): void;
}

/** A file with a line for each request. Disposed of once all is written. */
export interface AccessLog extends AsyncDisposable {
  add(line: string): void;
}

/** Rejects with `usage` where the file cannot be written at all; what fails later costs a warning and the lines, never a request. */
export async function openAccessLog({ path, bytesMax = FILE_BYTES_MAX, warn }: AccessLogOptions): Promise<AccessLog> {
  let size = 0;
  try {
    await appendFile(path, "", { mode: 0o600 });
    ({ size } = await stat(path));
  } catch (error) {
    throw new ClusterdError("usage", `The access log ${path} cannot be written: ${String(error)}`, {
      next: "Give another file with --access-log FILE.",
      cause: error,
    });
  }
  let waiting = "";
  let leftOut = 0;
  let failed = false;
  let writing: Promise<void> | null = null;

  async function write(): Promise<void> {
    while (waiting !== "") {
      const text = leftOut === 0 ? waiting : `${waiting}${new Date().toISOString()} ${leftOut} lines were left out\n`;
      waiting = "";
      leftOut = 0;
      try {
        if (size > 0 && size + Buffer.byteLength(text) > bytesMax) {
          await rename(path, `${path}.1`);
          size = 0;
        }
        await appendFile(path, text, { mode: 0o600 });
        size += Buffer.byteLength(text);
        failed = false;
      } catch (error) {
        if (!failed) warn(`the access log ${path} cannot be written: ${String(error)}`);
        failed = true;
      }
    }
    writing = null;
  }

  return {
    add(line) {
      if (waiting.length + line.length > WAITING_LENGTH_MAX) {
        leftOut += 1;
        return;
      }
      waiting += `${new Date().toISOString()} ${line}\n`;
      writing ??= write();
    },
    async [Symbol.asyncDispose]() {
      await writing;
    },
  };
}
