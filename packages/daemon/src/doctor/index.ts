// What keeps a machine or a cluster from working well. How facts are come by, and the single checks, stay inside.
export type { FindingLevel } from "./check.ts";
export type { ClusterFacts } from "./facts.ts";
export type { CheckReport, DoctorReport } from "./examine.ts";
export { examine } from "./examine.ts";
