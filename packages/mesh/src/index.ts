// Who is there, who may be, and the streams between nodes. libp2p and TLS stay inside.
export type { ClusterCredentials } from "./credentials.ts";
export { deserializeCredentials, formatToken, parseToken, serializeCredentials } from "./credentials.ts";
export type { Identity } from "./identity.ts";
export { loadIdentity } from "./identity.ts";
export type { AdvertFacts, Mesh, MeshConfig, MeshEvent, Standing } from "./mesh-config.ts";
export { startMesh } from "./start-mesh.ts";
export type { Certificate } from "./data-plane/certificate.ts";
export { loadCertificate } from "./data-plane/certificate.ts";
export type {
  Carry,
  DataPlane,
  DataPlaneConfig,
  ListenOptions,
  Offer,
  OfferOptions,
  ReachOptions,
  Tunnel,
} from "./data-plane/data-plane.ts";
export { startDataPlane } from "./data-plane/data-plane.ts";
export type { Interceptor, Traffic, Wires } from "./data-plane/join-sockets.ts";
export { joinSockets } from "./data-plane/join-sockets.ts";
