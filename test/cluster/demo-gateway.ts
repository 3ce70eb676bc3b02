import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ensureEngine, startHead } from "../../packages/engine/src/index.ts";
import { startGateway } from "../../packages/gateway/src/index.ts";
import { engineBackend } from "./engine-backend.ts";

const MODELS = fileURLToPath(new URL("../../models/", import.meta.url));
const LAYERS = 16;

export const DEMO_MODEL = "demo-16l-q8_0";
export const DEMO_CONTEXT = 1024;

export interface DemoGateway extends AsyncDisposable {
  readonly url: string;
  /** Slots of the engine that are at work, by its own word. */
  busySlots(): Promise<number>;
  /** Prompts whose answers are known. */
  readonly questions: readonly { readonly prompt: string; readonly expect: string }[];
}

/** A gateway before a real llama-server with the demo model. */
export async function startDemoGateway({ apiKey }: { readonly apiKey: string | null }): Promise<DemoGateway> {
  const { llamaServer } = await ensureEngine();
  const questions = JSON.parse(await readFile(`${MODELS}questions.json`, "utf8")) as {
    prompt: string;
    expect: string;
    match: string;
  }[];
  const head = await startHead({
    engine: { llamaServer },
    modelPath: `${MODELS}${DEMO_MODEL}.gguf`,
    modelId: DEMO_MODEL,
    layers: { head: LAYERS, workers: [] },
    layerCount: LAYERS,
    context: DEMO_CONTEXT,
    slots: 2,
    kv: "f16",
    threads: 1,
    acceleratorId: null,
    signal: AbortSignal.timeout(120_000),
  });
  const gateway = await startGateway({
    backend: engineBackend(head, { model: DEMO_MODEL, context: DEMO_CONTEXT, slots: 2 }),
    apiKey,
    assetsDir: null,
    allowedHosts: [],
    allowedOrigins: [],
    host: "127.0.0.1",
    port: 0,
  });
  return {
    url: gateway.url,
    questions: questions.filter(({ match }) => match === "exact"),
    async busySlots() {
      const headers = { authorization: `Bearer ${head.apiKey}` };
      const slots = await (await fetch(`http://127.0.0.1:${head.port}/slots`, { headers })).json();
      return (slots as { is_processing: boolean }[]).filter(({ is_processing: busy }) => busy).length;
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await head[Symbol.asyncDispose]();
    },
  };
}
