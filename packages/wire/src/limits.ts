/** Every limit that two nodes must agree on, in one place. */

/** One control message, encoded. An advert of 64 models and 16 deployments of 16 stages is below 64 KiB. */
export const CONTROL_FRAME_BYTES_MAX: number = 4 * 1024 * 1024;
/** Nesting of a control message. */
export const MESSAGE_DEPTH_MAX = 24;
/** Values (array items, map entries, scalars) in a control message. */
export const MESSAGE_VALUES_MAX = 200_000;
/** Nodes in one cluster. */
export const CLUSTER_NODES_MAX = 128;
/** Machines waiting for approval at one member. */
export const PENDING_MAX = 16;
/** Deployments headed by one node. */
export const DEPLOYMENTS_PER_NODE_MAX = 16;
/** Models one node tells others about. */
export const MODELS_PER_NODE_MAX = 256;
/** Further names of one model that a node tells of, and the longest of them. */
export const ALIASES_PER_MODEL_MAX = 16;
export const MODEL_NAME_LENGTH_MAX = 256;
/** Models of which one node tells that it has parts. */
export const HELD_PARTS_PER_NODE_MAX = 64;
/** Remote stages of one deployment: llama.cpp takes 15 RPC devices. */
export const REMOTE_STAGES_MAX = 15;
/** Decoder layers of one model. */
export const LAYERS_MAX = 1024;
/** A node's or cluster's name. */
export const NAME_LENGTH_MAX = 64;
/** Kinds of models whose speed a node tells of. */
export const DECODED_KINDS_MAX = 16;
/** Placements that a plan tells of besides the best one. */
export const ALTERNATIVES_MAX = 32;
/** Replicas of one model. */
export const REPLICAS_MAX = 16;
/** Weights of one stage whose hashes its worker tells. */
export const HASHED_WEIGHTS_MAX = 4096;
