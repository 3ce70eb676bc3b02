/** Every limit of the HTTP surface, in one place. */

/** A request's body. */
export const BODY_BYTES_MAX: number = 32 * 1024 * 1024;
/** Bodies that are being read, all requests together. */
export const BODIES_BYTES_MAX: number = 256 * 1024 * 1024;
/** Nesting of a request's JSON. */
export const JSON_DEPTH_MAX = 96;
/** Generations in progress on this node; further ones are told to come back. */
export const GENERATIONS_MAX = 1024;
/**
 * Bytes kept for a client that reads more slowly than its answer comes. With what the connection itself holds (RESPONSE_BYTES_MAX) a client
 * that reads nothing costs less than 1 MB; what the kernel holds besides it bounds by itself.
 */
export const OUTBOX_BYTES_MAX: number = 768 * 1024;
/** One server-sent event of the engine. */
export const ENGINE_EVENT_BYTES_MAX: number = 4 * 1024 * 1024;
/** Characters of an answer that is put together from a stream. */
export const ANSWER_LENGTH_MAX: number = 16 * 1024 * 1024;
/** The engine's answer where it comes at once. */
export const ENGINE_ANSWER_BYTES_MAX: number = 64 * 1024 * 1024;
/** The engine's error answer. */
export const ENGINE_ERROR_BYTES_MAX: number = 64 * 1024;
/**
 * Silence of the engine between two tokens of a stream. Long, because one batch of another request's prompt may come between
 * and slow machines take their time over it; nearer watching is the business of whoever runs the engine.
 */
export const ENGINE_SILENCE_MS_MAX = 120_000;
/** How long a stream is silent while what it waits for is known (a place in the queue, a model that loads), and otherwise. */
export const WAITING_SILENCE_MS_MAX = 2_000;
export const WORKING_SILENCE_MS_MAX = 10_000;
/** How long a stream waits for a model that loads, and how long any other request does unless it prefers to wait longer. */
export const READY_MS_MAX: number = 30 * 60_000;
export const IMPATIENT_MS_MAX = 1_000;
/** How long the news of a deployment's end is waited for by a request that came too late for it. */
export const SUPERSEDED_MS_MAX = 2_000;
/** Time between two signs of life of a stream without tokens. */
export const SIGN_OF_LIFE_MS = 5_000;
/** How long the cause of a broken exchange is waited for. */
export const CAUSE_WAIT_MS_MAX = 1_500;

/** How long an upstream may send nothing, before its answer and within. */
export const UPSTREAM_SILENCE_MS_MAX = 120_000;
/** Choices of one request that an upstream is asked for at a time. */
export const UPSTREAM_CHOICES_AT_ONCE = 4;
/** Kept for each cached answer besides its bytes: its key, and the table's own. */
export const CACHE_ENTRY_OVERHEAD_BYTES = 512;
/** The part of a cache that a single answer may take. */
export const CACHE_ENTRY_SHARE_MAX: number = 1 / 8;

/** Open streams of `/cluster/v1/events`. */
export const SUBSCRIBERS_MAX = 64;
/** Time between two states on one stream, at least. */
export const STATE_INTERVAL_MS_MIN = 250;
/** Time between two signs of life on one stream. */
export const HEARTBEAT_MS = 15_000;

/** A connection's request line and headers: time and bytes. */
export const HEADERS_MS_MAX = 10_000;
export const HEADER_BYTES_MAX: number = 16 * 1024;
/** Bytes of an answer that a connection holds before it asks for no more. */
export const RESPONSE_BYTES_MAX: number = 64 * 1024;
/** A request's target. */
export const URL_LENGTH_MAX = 4_096;
/** What a refused client still sends is thrown away up to here, so that it reads its refusal. */
export const LINGER_BYTES_MAX: number = 16 * 1024 * 1024;
export const LINGER_MS_MAX = 2_000;
/** A connection's whole request, body included. */
export const REQUEST_MS_MAX = 30_000;
/** Connections that send nothing more are looked for this often. */
export const CONNECTION_SWEEP_MS = 2_000;
export const CONNECTIONS_MAX = 2_048;
/** A client that takes no byte of what is waiting for it is cut after this. */
export const READER_STALL_MS_MAX = 60_000;
/** Time that open streams have to say goodbye when the gateway closes. */
export const CLOSE_GRACE_MS = 500;

/** Choices of one request, prompts times `n`. */
export const CHOICES_MAX = 64;
export const N_MAX = 8;
export const PROMPTS_MAX = 32;
/** What follows the gap that a completion is to fill, in characters. */
export const SUFFIX_LENGTH_MAX: number = 1024 * 1024;
/** Texts of one request for embeddings. */
export const EMBEDDING_INPUTS_MAX = 2_048;
export const MESSAGES_MAX = 4_096;
export const CONTENT_PARTS_MAX = 1_024;
export const TOOLS_MAX = 128;
export const STOP_STRINGS_MAX = 16;
export const STOP_LENGTH_MAX = 512;
export const LOGIT_BIAS_MAX = 1_024;
export const TOP_LOGPROBS_MAX = 20;
/** A JSON schema that a client sends: values in it, length of a regular expression, bound of a repetition. */
export const SCHEMA_VALUES_MAX = 10_000;
export const SCHEMA_PATTERN_LENGTH_MAX = 1_024;
export const SCHEMA_REPETITIONS_MAX = 10_000;
/** A name, alias or REF in a request. */
export const NAME_TEXT_MAX = 4_096;
/** An API key's limits: models it names, requests per minute, tokens per day. */
export const KEY_MODELS_MAX = 12;
export const KEY_REQUESTS_PER_MINUTE_MAX = 10_000;
export const KEY_TOKENS_PER_DAY_MAX = 1e12;
export const LOG_LINES_MAX = 10_000;
export const ASSET_BYTES_MAX: number = 16 * 1024 * 1024;
