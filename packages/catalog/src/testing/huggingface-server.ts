import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

/** How huggingface.co answered clients when this was written: renamed repositories, addresses that run out, errors by header. */
export interface HuggingFaceOptions {
  readonly files: Readonly<Record<string, Buffer>>;
  /** Requests that one signed address is good for. */
  readonly signedFor?: number;
  /** An answer in place of the hub's own, by path. */
  readonly refuse?: (path: string, token: string | undefined) => Refusal | null;
  /** Path before all others, as of a mirror behind a proxy. */
  readonly prefix?: string;
}

export interface Refusal {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HuggingFace extends AsyncDisposable {
  readonly endpoint: string;
  /** Paths of all requests, with what of them was asked. */
  readonly seen: { readonly host: "hub" | "store"; readonly path: string; readonly token: string | undefined }[];
}

/** The commit that `main` is at. */
export const COMMIT: string = "5f0a3b9c".repeat(5);
const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** A repository `new/name`, which was `old/name`. */
export async function startHuggingFace(options: HuggingFaceOptions): Promise<HuggingFace> {
  const seen: HuggingFace["seen"] = [];
  const prefix = options.prefix ?? "";
  const uses = new Map<string, number>();
  let signed = 0;

  const store = await listen((request, response) => {
    const url = new URL(request.url ?? "", "http://store");
    seen.push({ host: "store", path: url.pathname, token: request.headers.authorization });
    const signature = url.searchParams.get("X-Amz-Signature") ?? "";
    const used = uses.get(signature) ?? Infinity;
    uses.set(signature, used + 1);
    if (used >= (options.signedFor ?? Infinity)) {
      response.writeHead(403, { "content-type": "application/xml" });
      return response.end("<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>");
    }
    const bytes = Object.values(options.files).find((each) => digest(each) === url.pathname.split("/").at(-1));
    if (bytes === undefined) return response.writeHead(404).end();
    return sendPart(request, response, bytes, { etag: `"${digest(bytes).slice(0, 32)}-7"`, "x-cache": "Hit from cloudfront" });
  });

  const hub = await listen((request, response) => {
    const url = new URL(request.url ?? "", "http://hub");
    const path = url.pathname.slice(prefix.length);
    seen.push({ host: "hub", path: url.pathname + url.search, token: request.headers.authorization });
    const refused = options.refuse?.(path, request.headers.authorization) ?? null;
    if (refused !== null) return response.writeHead(refused.status, refused.headers).end('{"error":"…"}');
    // Where it was is remembered: relative, and with the question kept.
    if (/\/old\/name(?:\/|$)/u.test(path)) {
      const location = prefix + path.replace("/old/name", "/new/name") + url.search;
      return response.writeHead(307, { location, "content-type": "text/plain" }).end("Temporary Redirect");
    }
    if (path === "/api/models/new/name/revision/main") return sendListing(request, response, options.files);
    const name = decodeURIComponent(path.slice(`/new/name/resolve/${COMMIT}/`.length));
    const bytes = options.files[name];
    if (!path.startsWith(`/new/name/resolve/${COMMIT}/`) || bytes === undefined)
      return response.writeHead(404, { "x-error-code": "EntryNotFound", "x-error-message": "Entry not found" }).end();
    const signature = String((signed += 1));
    uses.set(signature, 0);
    const query = new URLSearchParams({ "X-Amz-Expires": "3600", "X-Amz-Signature": signature, "x-id": "GetObject" });
    return response
      .writeHead(302, {
        location: `${store.url}/xet-bridge-us/6733/${digest(bytes)}?${query}`,
        etag: `"${digest(bytes)}"`,
        "x-repo-commit": COMMIT,
        "x-linked-size": bytes.length,
        "x-linked-etag": `"${digest(bytes)}"`,
        "x-xet-hash": digest(bytes),
        link: `<${hub.url}/api/models/new/name/xet-read-token/${COMMIT}>; rel="xet-auth"`,
        vary: "Origin, Accept",
      })
      .end("Found. Redirecting");
  });

  return {
    endpoint: hub.url + prefix,
    seen,
    async [Symbol.asyncDispose]() {
      await Promise.all([hub.close(), store.close()]);
    },
  };
}

/** As `?blobs=true` tells it, packed for who takes it so. */
function sendListing(request: IncomingMessage, response: ServerResponse, files: Readonly<Record<string, Buffer>>): unknown {
  const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
    rfilename,
    size: bytes.length,
    blobId: digest(bytes).slice(0, 40),
    // Small ones are in git itself, which tells no SHA-256.
    ...(bytes.length > 1000 ? { lfs: { sha256: digest(bytes), size: bytes.length, pointerSize: 135 } } : {}),
  }));
  const body = Buffer.from(
    JSON.stringify({ _id: "6733", id: "new/name", private: false, gated: false, sha: COMMIT, gguf: { total: 1 }, siblings }),
  );
  const takesPacked = (request.headers["accept-encoding"] ?? "").includes("gzip");
  response.writeHead(200, {
    "content-type": "application/json; charset=utf-8",
    etag: `W/"${digest(body).slice(0, 20)}"`,
    ratelimit: '"api";r=499;t=221',
    ...(takesPacked ? { "content-encoding": "gzip" } : {}),
  });
  return response.end(takesPacked ? gzipSync(body) : body);
}

function sendPart(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  headers: Readonly<Record<string, string>>,
): unknown {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/u.exec(request.headers.range ?? "") ?? [];
  if (first === undefined || last === undefined)
    return response.writeHead(200, { ...headers, "content-length": bytes.length, "accept-ranges": "bytes" }).end(bytes);
  if (Number(first) >= bytes.length)
    return response.writeHead(416, { ...headers, "content-range": `bytes */${bytes.length}` }).end();
  const end = Math.min(Number(last), bytes.length - 1);
  const body = bytes.subarray(Number(first), end + 1);
  return response
    .writeHead(206, { ...headers, "content-range": `bytes ${first}-${end}/${bytes.length}`, "content-length": body.length })
    .end(body);
}

async function listen(handle: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<{
  readonly url: string;
  close(): Promise<void>;
}> {
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
