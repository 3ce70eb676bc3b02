// Who is there, who may be, and the streams between nodes. libp2p and TLS stay inside.
export type { Certificate } from "./data-plane/certificate.ts";
export { loadCertificate } from "./data-plane/certificate.ts";
export type { DataPlane, DataPlaneConfig, Offer, OfferOptions, ReachOptions, Tunnel } from "./data-plane/data-plane.ts";
export { startDataPlane } from "./data-plane/data-plane.ts";
