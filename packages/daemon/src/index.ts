// The composition root: one running node. State, control loop and hands stay inside.
export type { DaemonEvent, DaemonOptions, RunningDaemon } from "./daemon-options.ts";
export { runDaemon } from "./run-daemon.ts";
