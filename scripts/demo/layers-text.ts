import type { ClusterState } from "../../packages/wire/src/index.ts";

const MB = 1e6;

/** Which layers of each deployment are on which node, as lines of text. */
export function layersText(state: ClusterState): string[] {
  const names = new Map(state.nodes.map((node) => [node.id, node.name]));
  return state.deployments.flatMap((deployment) => [
    `${deployment.model}: ${deployment.layerCount} layers over ${deployment.stages.length} nodes, head ${names.get(deployment.head) ?? deployment.head}`,
    ...deployment.stages.map((stage) => {
      const layers = `${stage.firstLayer}-${stage.lastLayer}`;
      return `  ${(names.get(stage.node) ?? stage.node).padEnd(8)}  layers ${layers.padEnd(6)} ${(stage.weightBytes / MB).toFixed(2)} MB of weights`;
    }),
  ]);
}
