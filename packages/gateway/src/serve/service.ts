import type { AnswerCache } from "../cache/answer-cache.ts";
import type { Backend } from "../backend.ts";
import type { BodyReader } from "../json-body.ts";
import type { LoadingBoard } from "../loading/loading-board.ts";
import type { PatienceOptions } from "../relay/patience.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { RequestRecord, Outcome } from "../watch/request-record.ts";
import type { LiveRequests } from "../watch/live-requests.ts";

/** What the routes of every API share. */
export interface Service {
  readonly backend: Backend;
  readonly bodies: BodyReader;
  readonly live: LiveRequests;
  /** Silence between two tokens of a stream that is taken for a stall of the engine, ms. */
  readonly silenceMsMax: number;
  readonly patience: PatienceOptions;
  readonly loading: LoadingBoard;
  /** What may be asked where the cluster cannot serve. */
  readonly upstreams: readonly Upstream[];
  /** Answers that are given again; null: none are. */
  readonly cache: AnswerCache | null;
  /** Counts and logs a request that has ended. */
  finish(record: RequestRecord, status: number, outcome: Outcome): void;
}
