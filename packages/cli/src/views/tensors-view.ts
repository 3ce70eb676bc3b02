import { formatBytes } from "@clusterd/daemon/format";
import type { ModelTensors } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";

type Tensor = ModelTensors["tensors"][number];

const SOURCES: Readonly<Record<ModelTensors["source"], string>> = {
  hub: "read through here and found to be what the hub says",
  member: "as another node knows it from the hub",
  file: "as this node's own file has it",
};

const total = (tensors: readonly Tensor[]): number => tensors.reduce((sum, { bytes }) => sum + bytes, 0);

/** A model's tensors, a line for each layer, and of how much of it the bytes are known. */
export function tensorsLines({ model, source, parts, tensors }: ModelTensors, style: Style): string[] {
  const known = tensors.filter(({ sha256 }) => sha256 !== null);
  const files = parts.length === 1 ? "1 file" : `${parts.length} files`;
  const layers = [...new Set(tensors.map(({ layer }) => layer))].toSorted((a, b) => (a ?? Infinity) - (b ?? Infinity));
  const rows = layers.map((layer) => {
    const own = tensors.filter((tensor) => tensor.layer === layer);
    const verified = total(own.filter(({ sha256 }) => sha256 !== null));
    return [
      layer === null ? "none" : String(layer),
      String(own.length),
      [...new Set(own.map(({ type }) => type))].map(printable).join(", "),
      formatBytes(total(own)),
      verified === 0 ? "-" : verified === total(own) ? "all" : formatBytes(verified),
    ];
  });
  const columns = [
    { title: "LAYER", align: "right" as const },
    { title: "TENSORS", align: "right" as const },
    { title: "TYPES" },
    { title: "SIZE", align: "right" as const },
    { title: "KNOWN", align: "right" as const },
  ];
  const grounds =
    known.length === 0 ? "no digest is known yet" : `digests of ${formatBytes(total(known))} are known: ${SOURCES[source]}`;
  return [
    `${style("strong", printable(model))}: ${tensors.length} tensors in ${files}, ${formatBytes(total(tensors))}; ${grounds}`,
    "",
    ...table(columns, rows, style),
  ];
}
