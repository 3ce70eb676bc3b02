import { REMOTE_STAGES_MAX, type PlannerNode, type PlanRequest, type Refusal } from "@clusterd/wire";
import type { CostModel } from "./cost.ts";
import { gigabytes, remedies, wholeBytes, type Fits } from "./suggest.ts";

/** Why nothing fits, with the numbers, and what would help: only what would really help is suggested. */
export function refuse(
  request: PlanRequest,
  cost: CostModel,
  nodes: readonly PlannerNode[],
  heads: readonly PlannerNode[],
  fits: Fits,
): Refusal {
  const bytesAvailable = nodes.reduce((sum, node) => sum + node.memoryBytes, 0);
  const bytesNeeded = wholeBytes(cost);
  const base = { feasible: false as const, bytesNeeded, bytesAvailable };
  if (heads.length === 0) {
    const whose = request.head === undefined ? "No node has the model's file" : `${request.head} does not have the model's file`;
    const put = `${whose}: put it on a node and load it by its path there.`;
    return {
      ...base,
      reason: "head",
      shortByBytes: 0,
      suggestions: [put],
      why: ["No machine can be the head: it needs the model's file."],
    };
  }
  const roomy = heads.some((head) => head.memoryBytes >= cost.headOnlyBytes);
  const { suggestions, oneMoreBytes } = remedies(request, cost, nodes, fits);
  // Where there is enough together but not in pieces that fit, what is short is what one more piece would have to be.
  const isScattered = bytesNeeded <= bytesAvailable;
  const shortByBytes = isScattered ? (oneMoreBytes ?? 0) : bytesNeeded - bytesAvailable;
  const stagesMax = Math.min(REMOTE_STAGES_MAX + 1, cost.layerCount);
  const crowded = request.objective === "spread" && nodes.length > stagesMax;
  return {
    ...base,
    reason: crowded ? "stages" : "memory",
    bytesNeeded: bytesAvailable + shortByBytes > bytesNeeded ? bytesAvailable + shortByBytes : bytesNeeded,
    shortByBytes,
    suggestions,
    why: [
      crowded
        ? `All ${nodes.length} machines are to take a part, but there are ${cost.layerCount} layers, and the engine takes ${REMOTE_STAGES_MAX} stages beside the head.`
        : !isScattered
          ? `${needs(request, cost)}; the machines have ${gigabytes(bytesAvailable)} for models: ${gigabytes(shortByBytes)} short.`
          : roomy
            ? `${needs(request, cost)}, and the machines have ${gigabytes(bytesAvailable)} together, but not in pieces that fit: ${pieces(cost)}.`
            : `The head alone needs ${gigabytes(cost.headOnlyBytes)} for embedding, output and buffers; no machine that may be the head has that.`,
    ],
  };
}

function needs(request: PlanRequest, cost: CostModel): string {
  const weights = cost.layers.reduce(
    (sum, layer) => sum + layer.weightBytes,
    request.model.inputBytes + request.model.outputBytes,
  );
  const cache = Math.max(0, wholeBytes(cost) - weights - cost.costs.headBufferBytes);
  return (
    `It needs ${gigabytes(wholeBytes(cost))}: ${gigabytes(weights)} of weights, ${gigabytes(cache)} of cache ` +
    `(context ${cost.context}${request.slots > 1 ? ` × ${request.slots} slots` : ""}, ${request.kv}) and buffers`
  );
}

function pieces(cost: CostModel): string {
  const most = cost.widest[1] ?? 0;
  return `a layer takes up to ${gigabytes(most)}, every further machine ${gigabytes(cost.costs.workerBufferBytes)} for buffers`;
}
