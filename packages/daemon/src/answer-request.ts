import type { ModelFile } from "@clusterd/catalog";
import type { DataPlane, Mesh, Offer } from "@clusterd/mesh";
import {
  ClusterdError,
  placeText,
  type ContentId,
  type ControlAnswers,
  type ControlRequest,
  type DeploymentId,
  type DeployWish,
  type NodeId,
} from "@clusterd/wire";
import type { ControlLoop } from "./deployments/control-loop.ts";
import type { WorkerHost } from "./deployments/worker-host.ts";
import type { EngineGate } from "./queue/engine-gate.ts";
import { GATE_CONNECTIONS_MAX } from "./queue/limits.ts";
import type { LinkWatch } from "./links/link-watch.ts";
import type { LogServer } from "./logs/serve-logs.ts";
import type { ReplicatedSettings } from "./settings/shared-settings.ts";
import { answerSettings } from "./settings/spread-settings.ts";
import type { Store } from "./state/store.ts";
import type { LayerFetch } from "./weights/layer-fetch.ts";
import type { WeightOffers } from "./weights/weight-offers.ts";

export interface AnswerConfig {
  readonly store: Store;
  /** Of a model that is here, whole or in parts. */
  fileOf(contentId: ContentId): ModelFile | null;
  readonly dataPlane: DataPlane;
  readonly loop: ControlLoop;
  readonly gate: EngineGate;
  readonly workers: WorkerHost;
  approve: Mesh["approve"];
  startHere(request: Extract<ControlRequest, { type: "deploy" }>): void;
  stopHere(deployment: DeploymentId): boolean;
  replanHere(deployment: DeploymentId, signal: AbortSignal): Promise<ControlAnswers["replan"]>;
  wantHere(contentId: ContentId, keepAliveSeconds: number | null): Promise<DeploymentId>;
  keepHere(deployment: DeploymentId, onDemand: DeployWish["onDemand"]): boolean;
  evictHere(deployment: DeploymentId): boolean;
  setDraining(on: boolean): void;
  readonly links: LinkWatch;
  readonly layers: LayerFetch;
  readonly weightOffers: WeightOffers;
  readonly settings: ReplicatedSettings;
  readonly logs: LogServer;
}

/** Answers what other members ask of this node. */
export function createAnswerer(
  config: AnswerConfig,
): (from: NodeId, request: ControlRequest, signal: AbortSignal) => Promise<ControlAnswers[ControlRequest["type"]]> {
  const { store, loop, workers } = config;
  /** Ways to the gates of engines here, by deployment and member: a member gets one, used for all its requests. */
  const offers = new Map<string, Offer>();

  function ticketFor(from: NodeId, deployment: DeploymentId): ControlAnswers["engine-ticket"] {
    const peerFingerprint = store.state.others.get(from)?.advert.dataPlane.fingerprint;
    if (loop.engineOf(deployment) === null || peerFingerprint === undefined)
      throw new ClusterdError("shards_unreachable", "The engine is not up.");
    for (const [key, offer] of offers) {
      if (store.state.deployments.has(key.split("/")[0] as DeploymentId)) continue;
      offer[Symbol.dispose]();
      offers.delete(key);
    }
    const key = `${deployment}/${from}/${peerFingerprint}`;
    const offer =
      offers.get(key) ??
      config.dataPlane.offer({
        peerFingerprint,
        target: (socket) => config.gate(from, deployment, socket),
        kind: "http",
        label: deployment,
        connectionsMax: GATE_CONNECTIONS_MAX,
      });
    offers.set(key, offer);
    return { ticket: offer.ticket };
  }

  return async (from, request, signal) => {
    switch (request.type) {
      case "deploy":
        config.startHere(request);
        return { accepted: true };
      case "undeploy":
        return { stopped: config.stopHere(request.deployment) };
      case "want":
        return { deployment: await config.wantHere(request.contentId, request.keepAliveSeconds) };
      case "keep": {
        const { deployment, keepAliveSeconds, byPerson } = request;
        return { kept: config.keepHere(deployment, byPerson ? null : { keepAliveSeconds }) };
      }
      case "evict":
        return { evicted: config.evictHere(request.deployment) };
      case "replan":
        return config.replanHere(request.deployment, signal);
      case "worker-start":
        return workers.start(from, request, signal);
      case "worker-stop":
        return { stopped: await workers.stop(request.deployment, request.epoch) };
      case "worker-activity":
        return { activity: await workers.activity(from, request) };
      case "worker-ended":
        loop.stageEnded(request.deployment, request.epoch, placeText({ node: from, device: request.device }), request.reason);
        return { noted: true };
      case "engine-ticket":
        return ticketFor(from, request.deployment);
      case "profile": {
        const file = config.fileOf(request.contentId);
        if (file === null) throw new ClusterdError("not_found", "This node does not have that model.");
        return { profile: file.profile };
      }
      case "approve": {
        const { name, node } = await config.approve(request.code);
        return { name, node };
      }
      case "link-ticket":
        return { ticket: config.links.ticketFor(from) };
      case "fetch-layers":
        return config.layers.fetch(request);
      case "weights-ticket":
        return { ticket: await config.weightOffers.ticketFor(from, request.contentId) };
      case "drain":
        config.setDraining(request.on);
        return { draining: request.on };
      case "settings":
        return answerSettings(config.settings, request);
      case "logs":
        return config.logs.answer(from, request, signal);
      default:
        return request satisfies never;
    }
  };
}
