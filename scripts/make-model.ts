// Writes a GGUF file of any shape: random weights that llama.cpp loads and answers with, or a header alone, the rest of the file a hole,
// for planning with models that are too large to have. `--help` says more.
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { ARCHITECTURES } from "./make-model/architectures.ts";
import { describeModel, storedType } from "./make-model/describe-model.ts";
import { readMetadata } from "./make-model/gguf-metadata.ts";
import { describeProjector } from "./make-model/projector.ts";
import { PRESETS } from "./make-model/presets.ts";
import { WEIGHT_TYPES } from "./make-model/random-weights.ts";
import { completeShape, flagOf, SHAPE_NUMBERS, type ShapeNumber } from "./make-model/shape.ts";
import type { Tensor } from "./make-model/tensor.ts";
import { splitModel } from "./make-model/split-model.ts";
import { writeModel } from "./make-model/write-model.ts";

const DEMO = new URL("../models/demo-16l-q8_0.gguf", import.meta.url);
/** By llama.cpp's names; the numbers are its header's. */
const POOLINGS: ReadonlyMap<string, number> = new Map([
  ["none", 0],
  ["mean", 1],
  ["cls", 2],
  ["last", 3],
  ["rank", 4],
]);
const numbers = Object.entries(SHAPE_NUMBERS) as [ShapeNumber, string][];

const HELP = `Usage: node scripts/make-model.ts OUT.gguf [--arch NAME | --preset NAME] [options]

  --arch NAME       ${[...ARCHITECTURES.keys()].join(", ")} (llama)
  --preset NAME     a real model's shape; other flags change it:
                    ${[...PRESETS.keys()].join(", ")}
  --type TYPE       of the weights: ${WEIGHT_TYPES.join(", ")} (q8_0)
  --expert-type T   of the experts' (as --type)
  --header-only     only the header; the weights are a hole of the right length that takes no space
  --tied, --no-tied whether the embedding serves as output matrix
  --pooling NAME    makes embeddings of texts: ${[...POOLINGS.keys()].join(", ")} of its tokens' vectors (encoders: mean)
  --projector       instead of a model, what lets one of that --width see images (llama.cpp's mmproj)
  --counting        every token is followed by the next one of the vocabulary, and layers for later tokens guess it
  --bad-guesses     with --counting: those layers guess anything
  --infill          its last three tokens mark texts with a gap
  --split N         in N files (OUT-00001-of-0000N.gguf), as llama.cpp's gguf-split lays them out
  --split-header    the first of them has no tensors
  --normal          q8_0 weights spread as a trained model's are, which can be packed a little; else all bits of them are random
  --seed N          other random weights (1); the same seed gives the same file
${numbers.map(([key, help]) => `  --${flagOf(key)} N`.padEnd(27) + help).join("\n")}

Without a preset: 24 layers, 1024 wide, and for the rest what is usual for the width. Matrices whose rows do not divide into a type's
blocks are stored as q8_0 or f16. The tokenizer is the demo model's, padded to --vocab.`;

/** Reads the command line. Throws what a person can do something about. */
function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    allowNegative: true,
    options: {
      help: { type: "boolean", short: "h" },
      arch: { type: "string" },
      preset: { type: "string" },
      type: { type: "string", default: "q8_0" },
      "expert-type": { type: "string" },
      "header-only": { type: "boolean", default: false },
      tied: { type: "boolean" },
      pooling: { type: "string" },
      infill: { type: "boolean", default: false },
      counting: { type: "boolean", default: false },
      "bad-guesses": { type: "boolean", default: false },
      projector: { type: "boolean", default: false },
      split: { type: "string" },
      "split-header": { type: "boolean", default: false },
      seed: { type: "string", default: "1" },
      normal: { type: "boolean", default: false },
      ...Object.fromEntries(numbers.map(([key]) => [flagOf(key), { type: "string" } as const])),
    },
  });
  return { values: values as typeof values & Record<string, string | boolean | undefined>, positionals };
}

function wholeNumber(flag: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${flag} takes a whole number, not ${JSON.stringify(text)}.`);
  return Number(text);
}

function known<Value>(kind: string, name: string, values: ReadonlyMap<string, Value>): Value {
  const value = values.get(name);
  if (value === undefined) throw new Error(`There is no ${kind} ${JSON.stringify(name)}: ${[...values.keys()].join(", ")}.`);
  return value;
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  const [out] = positionals;
  if (values.help === true) return console.log(HELP);
  if (out === undefined || positionals.length > 1) throw new Error("One file to write has to be named; --help says more.");
  const preset = values.preset === undefined ? undefined : known("preset", values.preset, PRESETS);
  const architectureName = values.arch ?? preset?.architecture ?? "llama";
  if (preset !== undefined && preset.architecture !== architectureName)
    throw new Error(`${values.preset} is a ${preset.architecture}, not a ${architectureName}.`);
  const architecture = known("architecture", architectureName, ARCHITECTURES);
  const given: Record<string, number | boolean> = { ...preset?.shape };
  for (const [key] of numbers) {
    const text = values[flagOf(key)];
    if (typeof text === "string") given[key] = wholeNumber(flagOf(key), text);
  }
  if (values.tied !== undefined) given["tied"] = values.tied;
  const shape = completeShape(given, (partial) => architecture.typical(partial));
  if (shape.nextTokenLayers > 0 && architectureName !== "deepseek2")
    throw new Error("--next-token-layers is for --arch deepseek2 only.");
  if (shape.tied && values.counting) throw new Error("--counting needs an output matrix of its own: leave out --tied.");
  if (values["bad-guesses"] && !values.counting) throw new Error("--bad-guesses is for --counting only.");
  const pooling = values.pooling === undefined ? null : known("pooling", values.pooling, POOLINGS);
  // The header tells one model from another, so what only its weights show is in its name.
  const weights = [values.normal ? " normal" : "", values.counting ? " counting" : "", values["bad-guesses"] ? " badly" : ""];
  const name = `${values.preset ?? architectureName} ${shape.layers} x ${shape.width} seed ${values.seed}${weights.join("")}`;
  const model = values.projector
    ? describeProjector(`projector for ${shape.width} seed ${values.seed}`, shape.width)
    : describeModel(name, architectureName, architecture, shape, readMetadata(await readFile(DEMO)), {
        ...(pooling === null ? {} : { pooling }),
        infill: values.infill,
        ...(values.counting ? { counting: { guessed: !values["bad-guesses"] } } : {}),
      });
  const whole = {
    ...model,
    typeOf: (tensor: Tensor) =>
      storedType(tensor, tensor.name.includes("_exps.") ? (values["expert-type"] ?? values.type) : values.type),
    seed: wholeNumber("seed", values.seed),
    headerOnly: values["header-only"],
    isNormal: values.normal,
  };
  const parts =
    values.split === undefined
      ? [{ path: out, model: whole }]
      : splitModel(out, whole, wholeNumber("split", values.split), values["split-header"]);
  let bytes = 0;
  for (const part of parts) bytes += await writeModel(part.path, part.model);
  const parameters = model.tensors.reduce((sum, tensor) => sum + tensor.shape.reduce((product, size) => product * size, 1), 0);
  console.log(
    `${parts.map(({ path }) => path).join(", ")}: ${architectureName}, ${shape.layers} layers × ${shape.width}, ${model.vocabulary} tokens, ${(parameters / 1e9).toFixed(2)} G weights, ` +
      `${(bytes / 1e6).toFixed(0)} MB${values["header-only"] ? " (header only, the rest a hole)" : ""}`,
  );
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
