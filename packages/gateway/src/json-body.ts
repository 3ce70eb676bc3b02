import { ClusterdError } from "@clusterd/wire";
import { HttpRefusal, clientGone } from "./http-refusal.ts";
import { BODIES_BYTES_MAX, BODY_BYTES_MAX, JSON_DEPTH_MAX } from "./limits.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export interface BodyReader {
  /** The request's body, a JSON object; an empty body is `{}` where `optional`. */
  read(request: Request, options?: { readonly optional?: boolean }): Promise<JsonObject>;
}

/** A reader of request bodies that bounds each of them, and all that are being read together. */
export function createBodyReader(limits: { readonly bodyBytes?: number; readonly bodiesBytes?: number } = {}): BodyReader {
  const { bodyBytes = BODY_BYTES_MAX, bodiesBytes = BODIES_BYTES_MAX } = limits;
  let held = 0;

  async function readBytes(request: Request): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of request.body ?? []) {
        bytes += chunk.byteLength;
        held += chunk.byteLength;
        if (bytes > bodyBytes) throw tooLarge(bodyBytes);
        if (held > bodiesBytes) throw new ClusterdError("queue_full", "This node is busy reading other requests.");
        chunks.push(chunk);
      }
    } catch (error) {
      if (error instanceof HttpRefusal || error instanceof ClusterdError) throw error;
      throw clientGone();
    } finally {
      held -= bytes;
    }
    return Buffer.concat(chunks, bytes);
  }

  return {
    async read(request, options = {}) {
      checkHeaders(request, bodyBytes);
      const bytes = await readBytes(request);
      if (bytes.length === 0 && options.optional === true) return {};
      return parseObject(bytes);
    },
  };
}

function tooLarge(bytesMax: number): HttpRefusal {
  return new HttpRefusal(413, "body_too_large", `The body is larger than ${bytesMax} bytes.`, {
    headers: { connection: "close" },
  });
}

function checkHeaders(request: Request, bytesMax: number): void {
  const type = request.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  if (type !== "application/json") {
    throw new HttpRefusal(415, "unsupported_media_type", "The body must be JSON, sent with `Content-Type: application/json`.");
  }
  const encoding = request.headers.get("content-encoding")?.trim().toLowerCase();
  if (encoding !== undefined && encoding !== "" && encoding !== "identity") {
    throw new HttpRefusal(415, "unsupported_media_type", "Compressed bodies are not taken.", {
      headers: { connection: "close" },
    });
  }
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) throw tooLarge(bytesMax);
}

/** The bytes as a JSON object, its nesting checked before anything walks it. */
export function parseObject(bytes: Uint8Array): JsonObject {
  if (depthExceeds(bytes, JSON_DEPTH_MAX)) throw invalid(`The body is nested more than ${JSON_DEPTH_MAX} levels deep.`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid("The body is not valid JSON.");
  }
  if (!isObject(value)) throw invalid("The body must be a JSON object.");
  return value;
}

function invalid(message: string): ClusterdError {
  return new ClusterdError("invalid_request", message);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);

/** Whether JSON text nests deeper than `max`; brackets inside strings do not count. */
export function depthExceeds(bytes: Uint8Array, max: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    if (inString) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (OPEN.has(byte)) {
      depth += 1;
      if (depth > max) return true;
    } else if (CLOSE.has(byte)) depth -= 1;
  }
  return false;
}
