import { join, resolve } from "node:path";
import { homedir } from "node:os";

/** Every file a daemon keeps, all inside its home. */
export interface HomePaths {
  readonly home: string;
  readonly identity: string;
  readonly certificate: string;
  readonly cluster: string;
  readonly counters: string;
  readonly daemon: string;
  readonly lock: string;
  readonly apiKey: string;
  readonly deployments: string;
  /** What all members of the cluster know alike: API keys, aliases. */
  readonly settings: string;
  /** Services outside the cluster that may be asked where it cannot serve; written by a person. */
  readonly upstreams: string;
  /** The latest predictions beside what came of them. */
  readonly predictions: string;
  readonly models: string;
  /** Parts of models that this node runs, a folder for each. */
  readonly shards: string;
  /** When each model was last used. */
  readonly lastUse: string;
  /** How much of the disk models may take. */
  readonly diskCap: string;
  readonly cache: string;
  readonly logs: string;
}

/** The home to use: the flag, else `CLUSTERD_HOME`, else `~/.clusterd`. */
export function defaultHome(flag?: string): string {
  return resolve(flag ?? (process.env["CLUSTERD_HOME"] || join(homedir(), ".clusterd")));
}

export function homePaths(home: string): HomePaths {
  return {
    home,
    identity: join(home, "identity.key"),
    certificate: join(home, "data-plane.pem"),
    cluster: join(home, "cluster.json"),
    counters: join(home, "counters.json"),
    daemon: join(home, "daemon.json"),
    lock: join(home, "daemon.sock"),
    apiKey: join(home, "api.key"),
    deployments: join(home, "deployments.json"),
    settings: join(home, "settings.json"),
    upstreams: join(home, "upstream.json"),
    predictions: join(home, "predictions.json"),
    models: join(home, "models"),
    shards: join(home, "models", ".shards"),
    lastUse: join(home, "last-use.json"),
    diskCap: join(home, "disk.json"),
    cache: join(home, "cache"),
    logs: join(home, "logs"),
  };
}
