// The HTTP surface of a node. How requests are checked, relayed and counted stays inside.
export type { ModelPulls } from "./backend.ts";
export type { Aliases, AliasChange, AliasSetting } from "./aliases.ts";
export type { Backend, EngineRequest, LoadBody, LoadResult, Route } from "./backend.ts";
export type { Keys, KeyWish, OverLimit } from "./keys.ts";
export type { Upstream } from "./upstream/upstream.ts";
export { createGateway } from "./gateway.ts";
export type { Gateway, GatewayOptions } from "./gateway.ts";
export { startGateway } from "./server.ts";
export type { RunningGateway, ServerOptions } from "./server.ts";
