// Reads the meaning of a GGUF header with node-llama-cpp and prints what a profile needs as JSON. A process of its own: the reader's
// 58 MB are given back when it ends, and a hostile header can hurt nobody else.
import { readGgufFileInfo } from "node-llama-cpp";
import { infillTokens } from "./infill-tokens.ts";
import { vocabularyOf } from "./vocabulary.ts";

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error("reader-process needs the path of a GGUF file");
const { metadata } = await readGgufFileInfo(path, { readTensorInfo: false, logWarnings: false, ignoreKeys: [] });
const { general, tokenizer } = metadata as {
  general: Record<string, unknown>;
  tokenizer?: { ggml?: Record<string, unknown> };
};
const architecture = String(general["architecture"]);
const specific = (metadata as unknown as Record<string, unknown>)[architecture] ?? {};
const vocabulary = vocabularyOf(tokenizer?.ggml ?? {});
const facts = {
  general: { architecture, name: general["name"], file_type: general["file_type"], size_label: general["size_label"] },
  specific,
  infill: infillTokens(tokenizer?.ggml ?? {}, vocabulary?.beginId ?? null),
  vocabulary,
};
// 64-bit numbers come as BigInt; what a profile needs of them is far below 2^53.
process.stdout.write(JSON.stringify(facts, (_key, value: unknown) => (typeof value === "bigint" ? Number(value) : value)));
