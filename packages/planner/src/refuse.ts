import { type KvType, type PlannerNode, type PlanRequest, type Refusal } from "@clusterd/wire";
import { costModel, type CostModel } from "./cost.ts";

const CONTEXT_MIN = 512;

/** Why nothing fits, with the numbers, and what would help: only what would really help is suggested. */
export function refuse(
  request: PlanRequest,
  cost: CostModel,
  nodes: readonly PlannerNode[],
  heads: readonly PlannerNode[],
  fits: (request: PlanRequest) => boolean,
): Refusal {
  const bytesNeeded = cost.memoryBytes(0, cost.layerCount, true);
  const bytesAvailable = nodes.reduce((sum, node) => sum + node.memoryBytes, 0);
  const suggestions: string[] = [];
  if (heads.length === 0) {
    const named = request.head === undefined ? "No node has the model's file" : `${request.head} does not have the model's file`;
    return {
      feasible: false,
      reason: "head",
      bytesNeeded,
      bytesAvailable,
      shortByBytes: 0,
      suggestions: [`${named}: put it on a node and load it by its path there.`],
      why: [],
    };
  }
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(bytes >= 1e9 ? 1 : 3)} GB`;
  const cheaper: readonly KvType[] = request.kv === "f16" ? ["q8_0", "q4_0"] : request.kv === "q8_0" ? ["q4_0"] : [];
  for (const kv of cheaper) {
    if (!fits({ ...request, kv })) continue;
    const saved = bytesNeeded - costOf(request, cost.context, kv).memoryBytes(0, cost.layerCount, true);
    suggestions.push(`A ${kv} KV cache saves ${gigabytes(saved)} and fits (--kv ${kv}).`);
    break;
  }
  for (let context = Math.floor(cost.context / 2); context >= CONTEXT_MIN; context = Math.floor(context / 2)) {
    if (!fits({ ...request, context })) continue;
    const saved = bytesNeeded - costOf(request, context, request.kv).memoryBytes(0, cost.layerCount, true);
    suggestions.push(`A context of ${context} saves ${gigabytes(saved)} and fits (--ctx ${context}).`);
    break;
  }
  const { draft, ...plain } = request;
  if (draft !== undefined && fits({ ...plain, speculation: "ngram" }))
    suggestions.push(
      `It fits without the draft model ${draft.id}, which takes ${gigabytes(cost.draftBytes)} of the head (--draft).`,
    );
  if (request.without.length > 0 && fits({ ...request, without: [] }))
    suggestions.push(`It fits with ${request.without.join(", ")} (without --without).`);
  if (request.objective === "spread" && fits({ ...request, objective: "latency" }))
    suggestions.push("It fits when not every node must take a part (--objective latency).");
  if (request.pins.length > 0 && fits({ ...request, pins: [] })) suggestions.push("It fits without the pins.");
  const shortByBytes = Math.max(0, bytesNeeded - bytesAvailable);
  // Layers are not divisible: what is short, one layer of play, and a worker of its own.
  const extra = shortByBytes > 0 ? shortByBytes + cost.costs.workerBufferBytes + 2 * (cost.widest[1] ?? 0) : bytesNeeded;
  const helper: PlannerNode = { name: "\u0000one more", memoryBytes: extra, bandwidthBytesPerSecond: 1e9, canHead: true };
  if (fits({ ...request, nodes: [...request.nodes, helper] }))
    suggestions.push(`One more machine with ${gigabytes(extra)} for models would do.`);
  const tooMany = request.objective === "spread" && nodes.length > cost.layerCount;
  return {
    feasible: false,
    reason: tooMany || (shortByBytes === 0 && nodes.length > 1) ? (tooMany ? "stages" : "memory") : "memory",
    bytesNeeded,
    bytesAvailable,
    shortByBytes,
    suggestions,
    why: [],
  };
}

function costOf(request: PlanRequest, context: number, kv: KvType): CostModel {
  return costModel(request.model, context, request.slots, kv, request.draft);
}
