/** Accelerators of one host: llama.cpp schedules over 16 devices. */
export const DEVICES_MAX = 16;
const PLACE = /^(.+)#([1-9]\d?)$/;

/**
 * Where a stage runs: a host, and which of its accelerators. The first bears the host's name or id alone, the second is `pc#1`: each has an
 * rpc-server of its own, so that they work at the same time.
 */
export interface StagePlace<Node extends string = string> {
  readonly node: Node;
  readonly device: number;
}

/** The host and device of a stage's `node`. */
export function placeOf<Node extends string>(text: Node): StagePlace<Node> {
  const [, node, device] = PLACE.exec(text) ?? [];
  return node === undefined ? { node: text, device: 0 } : { node: node as Node, device: Number(device) };
}

/** A stage's `node`, of its host and device. */
export function placeText<Node extends string>({ node, device }: StagePlace<Node>): Node {
  return (device === 0 ? node : `${node}#${device}`) as Node;
}
