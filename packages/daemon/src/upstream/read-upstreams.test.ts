import { chmod, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc } from "@fast-check/vitest";
import { ClusterdError } from "@clusterd/wire";
import { expect, test } from "vitest";
import { checkUpstreams } from "./check-upstreams.ts";
import { readUpstreams } from "./read-upstreams.ts";

const GOOD = { name: "cloud", baseUrl: "https://api.example.com/v1/", apiKey: "sk-1", models: { big: "gpt-big" } };

async function fileWith(text: string, name = "upstream.json", mode = 0o600): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), "clusterd-upstream-")), name);
  await writeFile(path, text, { mode });
  await chmod(path, mode);
  return path;
}

const read = async (json: unknown, env: Record<string, string> = {}): Promise<Awaited<ReturnType<typeof readUpstreams>>> =>
  readUpstreams({ path: await fileWith(JSON.stringify(json)), named: true }, env);

test("a file as it should be", async () => {
  expect(await read({ upstreams: [GOOD] })).toEqual([
    {
      ...{ name: "cloud", baseUrl: "https://api.example.com/v1", apiKey: "sk-1", fields: [], tokenLimit: "max_tokens" },
      models: new Map([["big", "gpt-big"]]),
    },
  ]);
  const local = { name: "local", baseUrl: "http://127.0.0.1:8080/v1", models: { a: "b" }, fields: ["top_k"] };
  expect(await read({ upstreams: [local] })).toMatchObject([{ apiKey: null, fields: ["top_k"] }]);
});

test("keys from the environment and from files beside it", async () => {
  const { apiKey: _, ...open } = GOOD;
  expect(await read({ upstreams: [{ ...open, apiKeyEnv: "FAR_KEY" }] }, { FAR_KEY: " sk-2\n" })).toMatchObject([
    { apiKey: "sk-2" },
  ]);
  await expect(read({ upstreams: [{ ...open, apiKeyEnv: "FAR_KEY" }] })).rejects.toThrow(
    /upstreams\[0\]\.apiKeyEnv: the variable FAR_KEY is not there/,
  );
  const key = await fileWith("sk-3\n", "key");
  expect(await read({ upstreams: [{ ...open, apiKeyFile: key }] })).toMatchObject([{ apiKey: "sk-3" }]);
  await chmod(key, 0o644);
  await expect(read({ upstreams: [{ ...open, apiKeyFile: key }] })).rejects.toThrow(/may be read by others/);
});

test("no file is no upstream, unless it was named; one that others may read is refused", async () => {
  const nowhere = join(tmpdir(), "clusterd-upstream-nowhere.json");
  expect(await readUpstreams({ path: nowhere, named: false }, {})).toEqual([]);
  await expect(readUpstreams({ path: nowhere, named: true }, {})).rejects.toMatchObject({ code: "usage" });
  for (const mode of [0o640, 0o604]) {
    const path = await fileWith(JSON.stringify({ upstreams: [GOOD] }), "upstream.json", mode);
    await expect(readUpstreams({ path, named: false }, {})).rejects.toThrow(/may be read by others/);
  }
});

test("what is no JSON is not shown", async () => {
  const path = await fileWith('{"upstreams": [{"apiKey": "sk-secret');
  const error = await readUpstreams({ path, named: false }, {}).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "usage", message: `${path} is no JSON.` });
  expect(JSON.stringify(error) + String((error as Error).cause)).not.toContain("sk-secret");
});

const changed = (changes: object): unknown => ({ upstreams: [{ ...GOOD, ...changes }] });

test.each<readonly [unknown, RegExp]>([
  [[], /^F: the file must be an object/],
  [{ upstreams: {} }, /^F: upstreams must be a list/],
  [{ upstream: [] }, /^F: upstream is not known/],
  [changed({ key: "sk-secret" }), /^F: upstreams\[0\]\.key is not known/],
  [changed({ name: "two words" }), /^F: upstreams\[0\]\.name must be/],
  [changed({ baseUrl: "api.example.com" }), /^F: upstreams\[0\]\.baseUrl must be an address/],
  [changed({ baseUrl: "ftp://api.example.com" }), /^F: upstreams\[0\]\.baseUrl must be an address/],
  [changed({ baseUrl: "http://api.example.com/v1" }), /^F: upstreams\[0\]\.baseUrl is not encrypted/],
  [changed({ baseUrl: "http://127.evil.com/v1" }), /^F: upstreams\[0\]\.baseUrl is not encrypted/],
  [changed({ baseUrl: "https://me:sk-secret@api.example.com" }), /^F: upstreams\[0\]\.baseUrl must not hold/],
  [changed({ baseUrl: "https://api.example.com/v1?key=sk-secret" }), /^F: upstreams\[0\]\.baseUrl must end/],
  [changed({ apiKeyEnv: "A" }), /^F: upstreams\[0\] has apiKey and apiKeyEnv/],
  [changed({ apiKey: "sk-secret\nx" }), /^F: upstreams\[0\]\.apiKey must be of letters/],
  [changed({ apiKey: 3 }), /^F: upstreams\[0\]\.apiKey must be a text/],
  [changed({ models: {} }), /^F: upstreams\[0\]\.models must name/],
  [changed({ models: { a: 1 } }), /^F: upstreams\[0\]\.models\.a must be a text/],
  [changed({ fields: ["messages"] }), /^F: upstreams\[0\]\.fields\[0\] is sent anyway/],
  [changed({ fields: "top_k" }), /^F: upstreams\[0\]\.fields must be a list/],
  [changed({ tokenLimit: "n_predict" }), /^F: upstreams\[0\]\.tokenLimit must be/],
  [changed({ insecure: "yes" }), /^F: upstreams\[0\]\.insecure must be/],
  [{ upstreams: [GOOD, { ...GOOD, models: { other: "x" } }] }, /^F: upstreams has two entries of the name "cloud"/],
  [{ upstreams: [GOOD, { ...GOOD, name: "b", models: { BIG: "x" } }] }, /^F: upstreams names the model "BIG" twice/],
])("%j", (json, message) => {
  expect(() => checkUpstreams(json, "F")).toThrow(message);
  expect(() => checkUpstreams(json, "F")).toThrow(expect.not.objectContaining({ message: expect.stringContaining("sk-secret") }));
});

test("an unencrypted way can be meant", () => {
  const [entry] = checkUpstreams(changed({ baseUrl: "http://192.168.1.9:8000/v1", insecure: true }), "F");
  expect(entry?.baseUrl).toBe("http://192.168.1.9:8000/v1");
});

test("whatever a file holds, it is taken or refused as what it is", () => {
  const value = fc.jsonValue();
  const entry = fc.record({ name: value, baseUrl: value, models: value, apiKey: value, fields: value }, { requiredKeys: [] });
  fc.assert(
    fc.property(fc.oneof(value, fc.record({ upstreams: fc.array(fc.oneof(entry, value)) })), (json) => {
      try {
        checkUpstreams(json, "F");
      } catch (error) {
        expect(error).toBeInstanceOf(ClusterdError);
        expect(error).toMatchObject({ code: "usage" });
      }
    }),
  );
});
