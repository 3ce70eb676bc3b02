import type { AtRest } from "./deployed.ts";

/** A daemon may hold so much more at the end than at the beginning: a connection between nodes that was made anew, a heap that breathes. */
export const DESCRIPTORS_MORE_MAX = 8;
export const RESIDENT_BYTES_MORE_MAX: number = 64 * 1024 * 1024;

export interface Growth {
  readonly node: string;
  readonly descriptors: readonly [before: number, after: number];
  readonly residentMiB: readonly [before: number, after: number];
  readonly kept: boolean;
}

/** What each daemon holds more than before, and whether that is within the tolerance. */
export function growthOf(before: readonly AtRest[], after: readonly AtRest[]): readonly Growth[] {
  return after.map(({ node, descriptors, residentBytes }) => {
    const was = before.find((each) => each.node === node) ?? { descriptors, residentBytes };
    return {
      node,
      descriptors: [was.descriptors, descriptors],
      residentMiB: [toMiB(was.residentBytes), toMiB(residentBytes)],
      kept: descriptors - was.descriptors <= DESCRIPTORS_MORE_MAX && residentBytes - was.residentBytes <= RESIDENT_BYTES_MORE_MAX,
    };
  });
}

const toMiB = (bytes: number): number => Math.round(bytes / 1024 / 1024);

/** As rows of a table. */
export function growthLines(growth: readonly Growth[]): readonly string[] {
  return [
    "| daemon | descriptors before, after | MiB before, after |",
    "| --- | --- | --- |",
    ...growth.map(({ node, descriptors, residentMiB }) => `| ${node} | ${descriptors.join(", ")} | ${residentMiB.join(", ")} |`),
  ];
}
