import { ClusterdError, type Pin, type PlannerNode } from "@clusterd/wire";

/** Checks pins against the model and the nodes. Throws `usage` naming what is wrong. */
export function checkPins(pins: readonly Pin[], layerCount: number, nodes: readonly PlannerNode[]): void {
  const sorted = [...pins].sort((a, b) => a.firstLayer - b.firstLayer);
  sorted.forEach((pin, index) => {
    const text = `${pin.node}=${pin.firstLayer}-${pin.lastLayer}`;
    if (!nodes.some((node) => node.name === pin.node))
      throw new ClusterdError("not_found", `--pin ${text}: there is no such node to use.`, {
        next: `Nodes: ${nodes.map((node) => node.name).join(", ")}.`,
      });
    if (pin.firstLayer < 0 || pin.lastLayer < pin.firstLayer || pin.lastLayer >= layerCount)
      throw new ClusterdError("usage", `--pin ${text}: the model's layers are 0-${layerCount - 1}.`);
    const before = sorted[index - 1];
    if (before !== undefined && before.lastLayer >= pin.firstLayer)
      throw new ClusterdError("usage", `--pin ${text} overlaps ${before.node}=${before.firstLayer}-${before.lastLayer}.`);
    if (sorted.some((other) => other !== pin && other.node === pin.node))
      throw new ClusterdError("usage", `--pin: ${pin.node} is pinned twice; a node holds one range.`);
  });
}
