// One download in a process of its own, for tests that kill it: node pull-process.ts ENDPOINT TARGET BYTES SHA256
import { downloadFile } from "../pull/download-file.ts";
import { hubSource } from "../pull/hub-source.ts";

const [endpoint = "", target = "", fileBytes = "", sha256 = ""] = process.argv.slice(2);
const { signal } = new AbortController();
await downloadFile({
  source: hubSource({ endpoint, token: null, offline: false }, { repo: "o/r", commit: "0123abcd", path: "model.gguf" }),
  target,
  fileBytes: Number(fileBytes),
  sha256,
  signal,
  chunkBytes: 256 * 1024,
  recordMs: 50,
  onProgress: (doneBytes, step) => process.stdout.write(`${step} ${doneBytes}\n`),
});
