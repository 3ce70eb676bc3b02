// A hub with one file of one repository, for measurements: node scripts/bench/hub-process.ts FILE ADDRESS PORT. Says "ready" when it
// listens; then, for every line on its standard input, how many bytes of the file it has sent so far.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { basename } from "node:path";
import { pipeline } from "node:stream/promises";

const [file = "", address = "", port = ""] = process.argv.slice(2);
const COMMIT = "0123abcd";
const READ_BYTES: number = 256 * 1024;
const { size } = await stat(file);
const hash = createHash("sha256");
for await (const chunk of createReadStream(file, { highWaterMark: READ_BYTES })) hash.update(chunk as Buffer);
const sha256 = hash.digest("hex");
const name = basename(file);
let sentBytes = 0;

const server = createServer((request, response) => {
  const path = (request.url ?? "").split("?")[0] ?? "";
  if (path.startsWith("/api/models/o/r/revision/")) {
    const sibling = { rfilename: name, size, lfs: { sha256, size } };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ sha: COMMIT, siblings: [sibling] }));
  } else if (path.startsWith(`/o/r/resolve/${COMMIT}/`)) {
    response.writeHead(302, { location: `/stored/${name}?signature=1` }).end();
  } else if (path === `/stored/${name}`) {
    const [, first = "0", last = String(size - 1)] = /^bytes=(\d+)-(\d+)$/u.exec(request.headers.range ?? "") ?? [];
    const [start, end] = [Number(first), Math.min(Number(last), size - 1)];
    const bytes = end - start + 1;
    response.writeHead(request.headers.range === undefined ? 200 : 206, {
      "content-length": bytes,
      "content-range": `bytes ${start}-${end}/${size}`,
      etag: `"${sha256}"`,
    });
    const read = createReadStream(file, { start, end, highWaterMark: READ_BYTES });
    read.on("data", (chunk) => (sentBytes += chunk.length));
    pipeline(read, response).catch(() => response.destroy());
  } else response.writeHead(404, { "x-error-code": "RepoNotFound" }).end();
});
server.listen(Number(port), address, () => process.stdout.write("ready\n"));
process.stdin.on("data", () => process.stdout.write(`${sentBytes}\n`)).on("end", () => process.exit());
