import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { InfillTokens, Vocabulary } from "@clusterd/wire";
import { brokenModel } from "./broken-model.ts";
import { READER_HEAP_MEGABYTES, READER_OUTPUT_BYTES_MAX, READER_TIMEOUT_MS } from "./limits.ts";

/** A header's meaning as node-llama-cpp reads it: `specific` is the part under the architecture's name. */
export interface ModelMetadata {
  readonly general: {
    readonly architecture: string;
    readonly name?: unknown;
    readonly file_type?: unknown;
    readonly size_label?: unknown;
  };
  readonly specific: Readonly<Record<string, unknown>>;
  readonly infill?: InfillTokens | null;
  readonly vocabulary: Vocabulary | null;
}

/** Reads a guarded header's meaning in a process of its own, with bounded memory, output and time. */
export function readMetadata(path: string, signal: AbortSignal): Promise<ModelMetadata> {
  const script = fileURLToPath(new URL("./reader-process.ts", import.meta.url));
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [`--max-old-space-size=${READER_HEAP_MEGABYTES}`, "--no-warnings", script, path],
      { signal, timeout: READER_TIMEOUT_MS, maxBuffer: READER_OUTPUT_BYTES_MAX, killSignal: "SIGKILL" },
      (error, stdout, stderr) => {
        try {
          if (error !== null) throw error;
          resolve(JSON.parse(stdout) as ModelMetadata);
        } catch (thrown) {
          if (signal.aborted) reject(signal.reason as Error);
          else
            reject(
              brokenModel(
                path,
                `its header cannot be read: ${
                  stderr
                    .trim()
                    .split("\n")
                    .findLast((line) => line.includes("Error")) ?? "the reader failed"
                }`,
                undefined,
                thrown,
              ),
            );
        }
      },
    );
  });
}
