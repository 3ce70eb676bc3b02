import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** What goes wrong with one request for stored bytes; null: nothing. */
export type HubFault =
  | { readonly kind: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** Hangs up after so many bytes. */
  | { readonly kind: "cut"; readonly afterBytes: number }
  /** Changes one byte of what is sent. */
  | { readonly kind: "flip"; readonly at: number }
  /** Sends the whole file whatever was asked. */
  | { readonly kind: "whole" }
  /** Sends the wrong range. */
  | { readonly kind: "shifted" }
  | { readonly kind: "silence" }
  /** Something else altogether. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body: Buffer;
    }
  /** The right bytes under another tag, whatever was asked about tags. */
  | { readonly kind: "tag"; readonly etag: string }
  /** More bytes than the range has, without saying how many. */
  | { readonly kind: "more" };

export interface SeenRequest {
  readonly host: "hub" | "store";
  readonly path: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly token: string | undefined;
}

export interface TestHubOptions {
  /** By their path in the repository `o/r`. */
  readonly files: Readonly<Record<string, Buffer>>;
  /** What the listing says where that is not the truth: its digest. */
  readonly sha256?: Readonly<Record<string, string | null>>;
  /** Asked at every request for stored bytes; `count` of them have come before. */
  readonly fault?: (request: SeenRequest, count: number) => HubFault | null;
  /** Bytes per second of one answer. */
  readonly bytesPerSecond?: number;
  /** Only who bears this token is shown the repository. */
  readonly token?: string;
  /** Whether the hub tells a file's digest while it sends one to it, as the real one does. */
  readonly linked?: boolean;
  /** What `main` and every other revision is. */
  readonly commit?: string;
  /** Where the hub says its files are; absent: where they are. */
  readonly storeUrl?: string;
}

/** A hub with one repository at one commit, its files stored on a host of their own, as the real one's. */
export interface TestHub extends AsyncDisposable {
  readonly endpoint: string;
  readonly store: string;
  readonly seen: SeenRequest[];
  /** Bytes of files that went out. */
  readonly sentBytes: number;
}

const COMMIT = "0123abcd";
const PIECE_BYTES = 64 * 1024;

export async function startTestHub(options: TestHubOptions): Promise<TestHub> {
  const seen: SeenRequest[] = [];
  let sentBytes = 0;
  let stored = 0;

  const note = (host: SeenRequest["host"], { url, headers }: IncomingMessage): SeenRequest => {
    const request = {
      host,
      path: (url ?? "").split("?")[0] ?? "",
      range: headers.range,
      ifRange: typeof headers["if-range"] === "string" ? headers["if-range"] : undefined,
      token: headers.authorization,
    };
    seen.push(request);
    return request;
  };

  async function send(response: ServerResponse, bytes: Buffer, fault: HubFault | null): Promise<void> {
    const gone = once(response, "close");
    const until = fault?.kind === "cut" ? Math.min(fault.afterBytes, bytes.length) : bytes.length;
    for (let at = 0; at < until && !response.destroyed; at += PIECE_BYTES) {
      const piece = bytes.subarray(at, Math.min(until, at + PIECE_BYTES));
      sentBytes += piece.length;
      if (!response.write(piece)) await Promise.race([once(response, "drain"), gone]);
      if (options.bytesPerSecond !== undefined) await pause((piece.length / options.bytesPerSecond) * 1000);
    }
    if (fault?.kind === "cut") response.destroy();
    else response.end();
  }

  const store = await listen(async (request, response) => {
    const noted = note("store", request);
    const bytes = options.files[decodeURIComponent(noted.path.slice("/stored/".length))];
    const fault: HubFault | null =
      bytes === undefined ? { kind: "status", status: 404 } : (options.fault?.(noted, stored++) ?? null);
    if (fault?.kind === "status") response.writeHead(fault.status, fault.headers).end();
    if (fault?.kind === "answer") response.writeHead(fault.status, fault.headers).end(fault.body);
    if (bytes === undefined || fault?.kind === "silence" || fault?.kind === "status" || fault?.kind === "answer") return;
    const etag = fault?.kind === "tag" ? fault.etag : `"${digest(bytes)}"`;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/u.exec(noted.range ?? "") ?? [];
    const isOther = noted.ifRange !== undefined && noted.ifRange !== etag && fault?.kind !== "tag";
    if (first === undefined || last === undefined || isOther || fault?.kind === "whole") {
      response.writeHead(200, { "content-length": bytes.length, etag });
      return send(response, bytes, fault);
    }
    const start = Number(first) + (fault?.kind === "shifted" ? 1 : 0);
    const end = Math.min(Number(last), bytes.length - 1);
    const body = Buffer.from(bytes.subarray(start, end + 1));
    if (fault?.kind === "flip") body[fault.at % body.length] = (body[fault.at % body.length] ?? 0) ^ 1;
    const range = `bytes ${start}-${end}/${bytes.length}`;
    if (fault?.kind === "more") {
      response.writeHead(206, { "content-range": range, etag });
      return send(response, Buffer.concat([body, Buffer.alloc(PIECE_BYTES, 1)]), fault);
    }
    response.writeHead(206, { "content-range": range, "content-length": body.length, etag });
    return send(response, body, fault);
  });

  const hub = await listen(async (request, response) => {
    const { path, token } = note("hub", request);
    const commit = options.commit ?? COMMIT;
    const files = `/o/r/resolve/${commit}/`;
    if (options.token !== undefined && token !== `Bearer ${options.token}`)
      response.writeHead(401, { "x-error-code": "GatedRepo" }).end();
    else if (path.startsWith("/api/models/o/r/revision/"))
      response.writeHead(200, { "content-type": "application/json" }).end(listing(options));
    else if (path.startsWith(files)) {
      const name = decodeURIComponent(path.slice(files.length));
      const bytes = options.files[name];
      const linked =
        options.linked === true && bytes !== undefined
          ? { "x-linked-size": bytes.length, "x-linked-etag": `"${digest(bytes)}"`, "x-repo-commit": commit }
          : {};
      const location = `${options.storeUrl ?? store.url}/stored/${encodeURIComponent(name)}?signature=1`;
      response.writeHead(302, { location, ...linked }).end();
    } else response.writeHead(404, { "x-error-code": "RepoNotFound" }).end();
  });

  return {
    endpoint: hub.url,
    store: store.url,
    seen,
    get sentBytes() {
      return sentBytes;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([hub.close(), store.close()]);
    },
  };
}

function listing({ files, sha256: said, commit = COMMIT }: TestHubOptions): string {
  const siblings = Object.entries(files).map(([rfilename, bytes]) => {
    const told = said?.[rfilename];
    const sha256 = told === undefined ? digest(bytes) : told;
    return { rfilename, size: bytes.length, ...(sha256 === null ? {} : { lfs: { sha256, size: bytes.length } }) };
  });
  return JSON.stringify({ sha: commit, siblings });
}

const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

async function listen(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server: Server = createServer((request, response) => void handle(request, response));
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
