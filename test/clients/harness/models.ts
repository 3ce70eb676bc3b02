/** The model that makes embeddings: of no meaning, and alike from run to run. */
export const EMBEDDING_MODEL = "tiny-embed";
export const EMBEDDING_WIDTH = 128;
/** A model as the demo model, by another name, which is loaded only when it is asked for. */
export const SLEEPER = "sleeper";
/** Another, of which one worker may be killed; as many streams at once as there are clients. */
export const FRAGILE = "fragile";
export const FRAGILE_SLOTS = 10;
