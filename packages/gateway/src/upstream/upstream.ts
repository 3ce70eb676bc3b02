/** A service outside the cluster that speaks OpenAI's API and may be asked where the cluster cannot serve. */
export interface Upstream {
  readonly name: string;
  /** Up to the version, without a slash at its end: `https://api.example.com/v1`. */
  readonly baseUrl: string;
  /** Sent to it and nowhere else; null: it wants none. */
  readonly apiKey: string | null;
  /** Its models by the name that stands for them here. */
  readonly models: ReadonlyMap<string, string>;
  /** Fields beyond OpenAI's own that it takes, e.g. `top_k`. */
  readonly fields: readonly string[];
  /** What it calls the limit of an answer's tokens. */
  readonly tokenLimit: "max_tokens" | "max_completion_tokens";
}

/** What is asked instead of the cluster. */
export interface UpstreamChoice {
  readonly upstream: Upstream;
  /** As it is written in the configuration. */
  readonly model: string;
  readonly theirModel: string;
}

/** The upstream that stands in for any of these names of a model; without regard to case, as everywhere. */
export function upstreamFor(upstreams: readonly Upstream[], names: readonly string[]): UpstreamChoice | null {
  const wanted = new Set(names.map((name) => name.trim().toLowerCase()));
  for (const upstream of upstreams) {
    for (const [model, theirModel] of upstream.models) {
      if (wanted.has(model.toLowerCase())) return { upstream, model, theirModel };
    }
  }
  return null;
}
