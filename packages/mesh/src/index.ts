// Who is there, who may be, and the streams between nodes. libp2p and TLS stay inside.
export type { ClusterCredentials } from "./credentials.ts";
export { deserializeCredentials, formatToken, parseToken, serializeCredentials } from "./credentials.ts";
export type { Identity } from "./identity.ts";
export { loadIdentity } from "./identity.ts";
export type { AdvertFacts, Mesh, MeshConfig, MeshEvent, Standing } from "./mesh-config.ts";
export { startMesh } from "./start-mesh.ts";
export type { Certificate } from "./data-plane/certificate.ts";
export { loadCertificate } from "./data-plane/certificate.ts";
export type { Carry } from "./data-plane/carry.ts";
export type { DataPlane, DataPlaneConfig } from "./data-plane/data-plane.ts";
export { startDataPlane } from "./data-plane/data-plane.ts";
export type { Interceptor, Traffic, Wires } from "./data-plane/join-sockets.ts";
export { joinSockets } from "./data-plane/join-sockets.ts";
export type { ListenOptions, Tunnel } from "./data-plane/listen-on-loopback.ts";
export type { Offer, OfferOptions } from "./data-plane/offers.ts";
export type { ReachOptions } from "./data-plane/reach-peer.ts";
export type { TrustedLink } from "./data-plane/trusted-link.ts";
export { parseTrustedLink } from "./data-plane/trusted-link.ts";
