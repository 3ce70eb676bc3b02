import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test as property } from "@fast-check/vitest";
import { expect, test } from "vitest";
import { hubConfig } from "./hub-config.ts";
import { listRepository, type Listing } from "./list-repository.ts";
import { parseTree } from "./list-tree.ts";

const COMMIT = "abcdef0123".repeat(4);
const DIGEST = "0f".repeat(32);
type Answer = { readonly body: unknown; readonly link?: string };

/** What is listed of `o/r` by a hub that answers so, by path and question; anything else is 404. */
async function listedBy(answers: (endpoint: string) => Readonly<Record<string, Answer>>): Promise<Listing & { seen: string[] }> {
  await using stack = new AsyncDisposableStack();
  const seen: string[] = [];
  let known: Readonly<Record<string, Answer>> = {};
  const server = createServer(({ url }, response) => {
    seen.push(url ?? "");
    const answer = known[url ?? ""];
    if (answer === undefined) response.writeHead(404).end();
    else response.writeHead(200, answer.link === undefined ? {} : { link: answer.link }).end(JSON.stringify(answer.body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => void server.close());
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  known = answers(endpoint);
  const folder = await mkdtemp(join(tmpdir(), "clusterd-listing-"));
  stack.defer(() => rm(folder, { recursive: true }));
  const config = hubConfig({ HF_ENDPOINT: endpoint });
  const ref = { repo: "o/r", quantisation: null, revision: "main" };
  return { ...(await listRepository(config, ref, join(folder, "l.json"), AbortSignal.timeout(10_000))), seen };
}

const REVISION = "/api/models/o/r/revision/main?blobs=true";
const TREE = `/api/models/o/r/tree/${COMMIT}?recursive=true`;
const named = (...names: string[]): { sha: string; siblings: unknown[] } => ({
  sha: COMMIT,
  siblings: names.map((rfilename) => ({ rfilename })),
});

test("a listing without sizes is completed from the tree, page by page", async () => {
  const { files } = await listedBy((endpoint) => ({
    [REVISION]: { body: named("a.gguf", "b.gguf") },
    [TREE]: {
      body: [
        { type: "directory", path: "d" },
        { type: "file", path: "a.gguf", size: 133, lfs: { oid: DIGEST, size: 7 } },
      ],
      link: `<${endpoint}${TREE}&cursor=2>; rel="next"`,
    },
    [`${TREE}&cursor=2`]: { body: [{ type: "file", path: "b.gguf", size: 9, lfs: { oid: `sha256:${DIGEST}`, size: 9 } }] },
  }));
  expect(files).toEqual([
    { path: "a.gguf", bytes: 7, sha256: DIGEST },
    { path: "b.gguf", bytes: 9, sha256: DIGEST },
  ]);
});

test("a page elsewhere is not asked for", async () => {
  const { files, seen } = await listedBy(() => ({
    [REVISION]: { body: named("a.gguf") },
    [TREE]: { body: [], link: '<http://169.254.169.254/next>; rel="next"' },
  }));
  expect(files).toEqual([{ path: "a.gguf", bytes: null, sha256: null }]);
  expect(seen).toEqual([REVISION, TREE]);
});

test("a complete listing needs no tree, and a mirror without revisions is asked for the repository", async () => {
  const whole = { sha: COMMIT, siblings: [{ rfilename: "a.gguf", size: 7, lfs: { sha256: DIGEST, size: 7 } }] };
  expect((await listedBy(() => ({ [REVISION]: { body: whole } }))).seen).toEqual([REVISION]);
  const { files, seen } = await listedBy(() => ({ "/api/models/o/r?blobs=true": { body: whole } }));
  expect(files).toEqual([{ path: "a.gguf", bytes: 7, sha256: DIGEST }]);
  expect(seen).toEqual([REVISION, "/api/models/o/r?blobs=true"]);
  await expect(listedBy(() => ({}))).rejects.toMatchObject({ code: "not_found" });
});

property.prop([fc.oneof(fc.string(), fc.json())])("whatever a tree says, it is files with plain names or nothing", (text) => {
  for (const { path } of parseTree(text)) expect(path.split("/")).not.toContain("..");
});
