// What lies in a daemon's home. Light: the CLI imports it for every command.
export type { DaemonRecord } from "./daemon-record.ts";
export { readDaemonRecord } from "./daemon-record.ts";
export type { HomePaths } from "./paths.ts";
export { defaultHome, homePaths } from "./paths.ts";
export { readToken } from "./token.ts";
