import { randomBytes } from "node:crypto";
import { ClusterdError, LAYERS_MAX } from "@clusterd/wire";
import { describeEnd, superviseProcess } from "../process/supervise.ts";
import { headArguments } from "./head-arguments.ts";
import { wantedDevices, type HeadSpec } from "./head-spec.ts";
import { misplacedLayer, parseLayerDevices } from "./layer-map.ts";
import { explainHeadEnd } from "./load-failure.ts";
import { LISTENING, PROOF_DEADLINE } from "./head-start.ts";
import { startStandInWorker } from "./stand-in-worker.ts";

/**
 * Lets llama-server itself say which device each layer goes to, before a byte of the model moves, and throws naming the layer where it
 * is not the planned one. llama-server names layers only at log level 5, where it also writes some 17 lines per token, prompts and
 * answers among them: measured 0.4 ms of its time and 0.5 ms of its reader's per token. So a first process with the same binary,
 * file and flags runs at level 5 over stand-ins for the workers, and is killed once it has named the last layer.
 */
export async function proveLayers(llamaServer: string, spec: HeadSpec, signal: AbortSignal): Promise<readonly string[]> {
  await using standIns = new AsyncDisposableStack();
  const workers = await Promise.all(
    spec.layers.workers.map(async ({ layers }) => ({ layers, endpoint: standIns.use(await startStandInWorker()).endpoint })),
  );
  const nextTokens = spec.layers.nextTokens === undefined ? {} : { nextTokens: standIns.use(await startStandInWorker()) };
  const named: string[] = [];
  let devices = parseLayerDevices(named);
  await using child = superviseProcess({
    name: "llama-server",
    command: llamaServer,
    args: [...headArguments({ ...spec, projectorPath: null, layers: { ...spec.layers, ...nextTokens, workers } }), "-lv", "5"],
    // It must not serve anyone in the moment it listens.
    env: { GGML_NO_BACKTRACE: "1", LLAMA_API_KEY: randomBytes(24).toString("base64url") },
    isReady(line) {
      if (line.includes(" assigned to device ") && named.length <= 2 * LAYERS_MAX) {
        named.push(line);
        devices = parseLayerDevices(named);
      }
      return devices.size > spec.layerCount + (spec.nextTokenLayers ?? 0) || LISTENING.test(line);
    },
    start: PROOF_DEADLINE,
    stopGraceMs: 0,
  });
  try {
    await child.whenReady(signal);
  } catch (error) {
    const { state } = child;
    if (state.kind === "ended" && !state.wanted) throw explainHeadEnd(child.logTail, describeEnd(state), spec.modelId);
    throw error;
  }
  const wanted = wantedDevices(spec);
  const misplaced = misplacedLayer(wanted, devices);
  if (misplaced !== null)
    throw new ClusterdError(
      "engine_crashed",
      `llama-server would place the layers of ${spec.modelId} differently from the plan: ${misplaced}.`,
    );
  return wanted;
}
