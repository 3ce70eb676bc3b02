import { readFile, realpath, stat } from "node:fs/promises";
import { extname, join, sep } from "node:path";
import { ASSET_BYTES_MAX } from "../limits.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".webp": "image/webp",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
};

/** A page may load what this node serves and speak to this node, and nothing else. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Letters, digits, dot, dash and underscore, no leading dot: such a name means the same on every file system. */
const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;
/** The name carries a hash of the content, as the bundler writes it. */
const HASHED = /^\/assets\/.+-[\w-]{8,}\.\w+$/;

const NOT_BUILT = `clusterd is running, but its dashboard has not been built here.

To build it: pnpm --filter @clusterd/dashboard build
The API works without it: GET /v1/models, POST /v1/chat/completions, GET /cluster/v1/state.
`;

/** The file of the dashboard at a path, or `null` where there is none. */
export async function asset(dir: string | null, path: string): Promise<Response | null> {
  const found = dir === null ? null : await readAsset(dir, path === "/" ? "/index.html" : path);
  if (found !== null) return found;
  return path === "/"
    ? new Response(NOT_BUILT, { headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-cache" } })
    : null;
}

async function readAsset(dir: string, path: string): Promise<Response | null> {
  const segments = path.slice(1).split("/");
  const type = TYPES[extname(path).toLowerCase()];
  if (type === undefined || !segments.every((segment) => SEGMENT.test(segment))) return null;
  let bytes: Buffer<ArrayBuffer>;
  try {
    const root = await realpath(dir);
    const file = await realpath(join(root, ...segments));
    if (!file.startsWith(root.endsWith(sep) ? root : root + sep)) return null;
    const { size, isFile } = await stat(file).then((stats) => ({ size: stats.size, isFile: stats.isFile() }));
    if (!isFile || size > ASSET_BYTES_MAX) return null;
    bytes = await readFile(file);
  } catch {
    // Missing, or not readable: to the outside it is not there.
    return null;
  }
  return new Response(bytes, {
    headers: {
      "content-type": type,
      "cache-control": HASHED.test(path) ? "public, max-age=31536000, immutable" : "no-cache",
      "content-security-policy": CONTENT_SECURITY_POLICY,
    },
  });
}
