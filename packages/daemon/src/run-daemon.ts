import { hostname } from "node:os";
import { existsSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import { openCatalog } from "@clusterd/catalog";
import { DASHBOARD_DIR } from "@clusterd/dashboard";
import { describeAccelerator } from "@clusterd/device";
import { defaultThreads, ensureEngine } from "@clusterd/engine";
import { startGateway } from "@clusterd/gateway";
import {
  deserializeCredentials,
  loadCertificate,
  loadIdentity,
  parseToken,
  parseTrustedLink,
  serializeCredentials,
  startDataPlane,
  startMesh,
  type Mesh,
} from "@clusterd/mesh";
import { asClusterdError, cleanName, ClusterdError, NAME_LENGTH_MAX, placeText, type NodeId } from "@clusterd/wire";
import { openAccessLog } from "./access-log.ts";
import { advertModels } from "./advert-facts.ts";
import { createAnswerer } from "./answer-request.ts";
import type { DaemonOptions, RunningDaemon } from "./daemon-options.ts";
import { startControlLoop } from "./deployments/control-loop.ts";
import { createHeadedHere } from "./deployments/headed-here.ts";
import { createOrphanWatch } from "./deployments/orphan-watch.ts";
import { createWorkerHost, type WorkerHost } from "./deployments/worker-host.ts";
import { createAliasBook } from "./aliases/alias-book.ts";
import { createBackend } from "./gateway/backend.ts";
import { createEngineReach } from "./gateway/engine-reach.ts";
import { isReady, modelNamed } from "./gateway/routes.ts";
import { isLoopback, loadApiKey } from "./home/api-key.ts";
import { nextIncarnation } from "./home/counters.ts";
import { writeDaemonRecord } from "./home/daemon-record.ts";
import { lockHome } from "./home/lock.ts";
import { homePaths } from "./home/paths.ts";
import { prepareHome } from "./home/prepare-home.ts";
import { readIfPresent, writePrivateFile } from "./home/private-file.ts";
import { watchLinks } from "./links/link-watch.ts";
import { createKeyStore } from "./keys/key-store.ts";
import { createLogRing } from "./logs/log-ring.ts";
import { createLogServer } from "./logs/serve-logs.ts";
import { createMeshListener } from "./mesh-listener.ts";
import { BUNDLED_MODELS } from "./offline/bundled-models.ts";
import { watchIdle, type IdleWatch } from "./on-demand/idle-watch.ts";
import { createLoadOnRequest } from "./on-demand/load-on-request.ts";
import { watchModels } from "./pulls/adopt-models.ts";
import { createDeployer } from "./planning/deploy.ts";
import { createOwnDevice } from "./planning/own-device.ts";
import { publishChanges } from "./publish-changes.ts";
import { askCounters } from "./deployments/engine-counters.ts";
import { createPredictionLog } from "./planning/prediction-log.ts";
import { watchPlans } from "./planning/watch-plans.ts";
import { watchSpeed } from "./speed-watch.ts";
import { readSettings } from "./settings/settings-file.ts";
import { createSettings } from "./settings/shared-settings.ts";
import { spreadSettings } from "./settings/spread-settings.ts";
import { createEngineGate } from "./queue/engine-gate.ts";
import { createHeadQueues } from "./queue/head-queues.ts";
import { placeNames } from "./state/names.ts";
import { createStore } from "./state/store.ts";
import { allDeployments } from "./state/view.ts";
import { tellEvents } from "./tell-events.ts";
import { readUpstreams } from "./upstream/read-upstreams.ts";
import { tellUpstreams, upstreamViews } from "./upstream/upstream-views.ts";
import { openOwnWeights } from "./weights/own-weights.ts";
import { VERSION } from "./version.ts";

const REFRESH_MS = 10_000;
const WORKER_ENDED_MS_MAX = 5_000;

/** Starts a node and keeps it running until its signal fires, it is disposed of, or it cannot go on. */
export async function runDaemon(options: DaemonOptions): Promise<RunningDaemon> {
  const stack = new AsyncDisposableStack();
  const { promise: closed, resolve: close, reject: fail } = Promise.withResolvers<void>();
  let ending: Promise<void> | null = null;
  const end = (error: Error | null): Promise<void> => {
    ending ??= stack.disposeAsync().then(
      () => {
        options.onEvent({ event: "stopped" });
        if (error === null) close();
        else fail(error);
      },
      (thrown: unknown) => fail(asClusterdError(thrown)),
    );
    return ending;
  };
  // Whoever waits on `closed` is told; nobody has to.
  closed.catch(() => undefined);
  try {
    await compose(options, stack, end);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
  if (options.signal.aborted) void end(null);
  options.signal.addEventListener("abort", () => void end(null), { once: true });
  return { closed, [Symbol.asyncDispose]: () => end(null) };
}

/** Everything a node is made of, put together; the stack takes it apart again, last first. */
async function compose(
  options: DaemonOptions,
  stack: AsyncDisposableStack,
  end: (error: Error | null) => Promise<void>,
): Promise<void> {
  const { signal, onEvent } = options;
  const log = createLogRing();
  const say = (message: string, level: "info" | "warn" = "info"): void => {
    log.add(message);
    onEvent({ event: "log", level, message });
  };
  if (options.token !== undefined) parseToken(options.token);
  const trustedLinks = options.trustedLinks.map((text) => parseTrustedLink(text));
  const paths = homePaths(options.home);
  await prepareHome(paths);
  stack.use(await lockHome(paths));

  const [engine, identity, certificate, catalog, saved] = await Promise.all([
    ensureEngine({ signal, onProgress: ({ step, fraction }) => onEvent({ event: "engine", step, fraction }) }),
    loadIdentity(paths.identity),
    loadCertificate(paths.certificate),
    openCatalog({ home: paths.home, bundled: BUNDLED_MODELS, signal }),
    readIfPresent(paths.cluster),
  ]);
  for (const note of engine.notes) say(note);
  for (const { path, message } of catalog.problems()) say(`${path} is not used: ${message}`, "warn");
  const ownDevice = stack.use(
    await createOwnDevice({
      memoryCapBytes: options.memoryBytes ?? null,
      bandwidthBytesPerSecond: options.bandwidthBytesPerSecond ?? null,
      accelerators: engine.devices.map(({ name, memoryBytes }) => ({ name, memoryBytes })),
      engine,
      threads: defaultThreads(),
      cacheDir: paths.cache,
      say: (message) => say(message),
    }),
  );
  const { device } = ownDevice;
  const credentials = saved === null ? null : deserializeCredentials(saved);
  const incarnation = await nextIncarnation(paths);
  const upstreams = await readUpstreams(
    { path: options.upstreamFile ?? paths.upstreams, named: options.upstreamFile !== undefined },
    process.env,
  );
  const apiKey = isLoopback(options.apiHost) ? null : await loadApiKey(paths);
  const listen = options.listen.length > 0 ? options.listen : ["0.0.0.0"];
  // Where this node reaches its own tunnels.
  const ownAddress = listen[0] === undefined || /^(0\.0\.0\.0|::)$/.test(listen[0]) ? "127.0.0.1" : listen[0];
  const dataPlane = stack.use(
    await startDataPlane({
      certificate,
      listen: listen[0] ?? "0.0.0.0",
      port: options.meshPort === 0 ? 0 : options.meshPort + 1,
      trustedLinks,
      onUnencrypted: (address) =>
        say(`the tunnels with ${address} are NOT ENCRYPTED: both ends declare that link private`, "warn"),
    }),
  );
  if (trustedLinks.length > 0) {
    const links = trustedLinks.map((link) => link.text).join(", ");
    say(`${links} declared private: tunnels there are NOT ENCRYPTED where the other node declares it as well`, "warn");
  }

  const name = cleanName(options.name ?? hostname().split(".")[0] ?? "node", NAME_LENGTH_MAX) || "node";
  const engineSummary = { fingerprint: engine.fingerprint, rpcProtocol: engine.rpcProtocol, llamaCpp: engine.llamaCpp };
  const store = createStore({
    self: identity.id,
    standing: { kind: "looking" },
    own: {
      name,
      version: VERSION,
      device,
      engine: engineSummary,
      links: [],
      models: advertModels(catalog.list()),
      pending: [],
      addresses: [],
      dataPlane: { port: dataPlane.port, fingerprint: dataPlane.fingerprint },
      draining: false,
    },
    others: new Map(),
    deployments: new Map(),
  });
  stack.defer(tellEvents(store, onEvent));

  const nameOf = (node: NodeId): string => placeNames(store.state).get(node) ?? node;
  const setDraining = (on: boolean): void => store.dispatch({ type: "own", facts: { draining: on } });
  // What answers the mesh is made before it, and reaches it through this.
  let mesh: Mesh | null = null;
  const theMesh = (): Mesh => {
    if (mesh === null) throw new ClusterdError("not_running", "The mesh is not up yet.");
    return mesh;
  };

  const warn = (message: string): void => say(message, "warn");
  const kept = await readSettings(paths.settings, warn);
  const settings = stack.use(createSettings({ self: identity.id, path: paths.settings, kept, warn }));
  stack.use(spreadSettings({ settings, store, mesh: () => mesh, log: say }));
  const keys = stack.use(createKeyStore({ settings, self: identity.id, nowMs: Date.now, log: warn }));

  const own = stack.use(
    await openOwnWeights({
      store,
      catalog,
      dataPlane,
      paths,
      mesh: theMesh,
      nameOf,
      log: (message) => say(message),
      diskBytes: options.diskBytes,
      fetchBytesPerSecond: options.fetchBytesPerSecond,
      serveBytesPerSecond: options.serveBytesPerSecond,
      onEvicted: (evicted) => onEvent({ event: "evicted", ...evicted }),
      signal,
    }),
  );
  const { modelsChanged } = own;
  const workers: WorkerHost = stack.use(
    createWorkerHost({
      engine,
      weights: own.digests,
      threads: defaultThreads(),
      deviceIds: engine.devices.map(({ id }) => id),
      dataPlane,
      memoryBytesLeft(device, replacing) {
        const hosted = workers.hosted
          .filter((stage) => stage.device === device && stage.deployment !== replacing)
          .reduce((sum, stage) => sum + stage.memoryBytes, 0);
        const headed = [...store.state.deployments.values()]
          .filter((deployment) => deployment.phase !== "failed")
          .flatMap((deployment) => deployment.placement.stages);
        // What is headed here has its first stage in the head's own process; its further ones are hosted.
        const headedHere = device > 0 ? [] : headed.filter((stage) => stage.node === store.state.self);
        const ownBytes = headedHere.reduce((sum, stage) => sum + stage.memoryBytes, 0);
        const budget = describeAccelerator(store.state.own.device, device) ?? store.state.own.device;
        return budget.memoryBytesBudget - hosted - ownBytes;
      },
      fingerprintOf: (node) =>
        node === store.state.self ? dataPlane.fingerprint : (store.state.others.get(node)?.advert.dataPlane.fingerprint ?? null),
      onEnded(head, { deployment, epoch, device: place }, reason) {
        say(`${reason} (a stage for ${nameOf(head)})`, "warn");
        if (head === store.state.self) {
          loop.stageEnded(deployment, epoch, placeText({ node: head, device: place }), reason);
          return;
        }
        void theMesh()
          .request(
            head,
            { type: "worker-ended", deployment, epoch, device: place, reason },
            { signal: AbortSignal.timeout(WORKER_ENDED_MS_MAX) },
          )
          .catch(() => undefined);
      },
      log: (message) => say(message),
    }),
  );

  const loop = startControlLoop({
    store,
    run: {
      engine,
      threads: defaultThreads(),
      acceleratorId: engine.devices[0]?.id ?? null,
      dataPlane,
      weights: own.digests,
      log: (message) => say(message),
      nameOf,
      dataPlaneOf(node) {
        // Another accelerator of this very host.
        if (node === store.state.self)
          return { address: ownAddress, dataPlane: { port: dataPlane.port, fingerprint: dataPlane.fingerprint } };
        const address = theMesh().addressOf(node);
        const other = store.state.others.get(node);
        return address === null || other === undefined ? null : { address, dataPlane: other.advert.dataPlane };
      },
      onSilent(node) {
        if (store.state.others.get(node)?.state === "alive") store.dispatch({ type: "node-state", node, state: "suspect" });
      },
      startWorker: (node, request, within) =>
        node === store.state.self ? workers.start(node, request, within) : theMesh().request(node, request, { signal: within }),
      workerActivity: async (node, request, within) =>
        node === store.state.self
          ? { activity: await workers.activity(node, request) }
          : theMesh().request(node, request, { signal: within }),
      stopWorker: async (node, request, within) =>
        node === store.state.self
          ? { stopped: await workers.stop(request.deployment, request.epoch) }
          : theMesh().request(node, request, { signal: within }),
    },
    ...own.headFiles,
    log: (message) => say(message),
  });

  const here = createHeadedHere(store, catalog);
  const idle: IdleWatch = stack.use(
    watchIdle({
      store,
      workOf: (id) => ({ requests: queues.workOf(id), entries: queues.entriesOf(id) }),
      stopHere: here.stop,
      log: (message) => say(message),
    }),
  );
  const deployer = createDeployer({
    store,
    catalog,
    evictHere: (id) => idle.evict(id),
    keepHere: here.keep,
    modelsChanged,
    fileOf: own.fileOf,
    ask: (to, request, within) => theMesh().request(to, request, { signal: within }),
    startHere: here.start,
    stopHere: here.stop,
  });
  const onDemand = createLoadOnRequest({
    store,
    deployer,
    enabled: options.loadOnRequest,
    keepAliveSeconds: options.keepAliveSeconds,
    ask: (to, request, within) => theMesh().request(to, request, { signal: within }),
    signal,
  });
  const queues = stack.use(createHeadQueues({ store, isUp: (id) => loop.engineOf(id) !== null }));
  const links = stack.use(watchLinks({ store, dataPlane, mesh: theMesh }));
  const answer = createAnswerer({
    store,
    fileOf: own.fileOf,
    dataPlane,
    loop,
    gate: createEngineGate({ queues, engineOf: (id) => loop.engineOf(id) }),
    workers,
    approve: (code) => theMesh().approve(code),
    startHere: here.start,
    stopHere: here.stop,
    replanHere: (id, within) => deployer.replan(id, within),
    wantHere: (contentId, keepAliveSeconds) => onDemand.wantHere(contentId, keepAliveSeconds),
    keepHere: here.keep,
    evictHere: (id) => idle.evict(id),
    setDraining,
    links,
    layers: own.layers,
    weightOffers: own.offers,
    settings,
    logs: createLogServer(log),
  });
  const listener = createMeshListener({
    store,
    isMember: credentials !== null,
    links: () => links,
    onEvent,
    say,
    note: (line) => log.add(line),
    onReady() {
      onEvent({ event: "ready", node: identity.id, name, api: gateway.url, mesh: running.addresses(), pid: process.pid });
      if (options.load !== undefined) void loadFirst(options.load);
    },
    end: (error) => void end(error),
  });
  mesh = await startMesh({
    identity,
    name,
    version: VERSION,
    rpcProtocol: engine.rpcProtocol,
    listen,
    port: options.meshPort,
    mdns: options.mdns,
    peers: options.peers,
    credentials,
    token: options.token ?? null,
    clusterName: options.cluster ?? null,
    open: options.open,
    incarnation,
    async saveCredentials(next) {
      if (next === null) await unlink(paths.cluster).catch(() => undefined);
      else await writePrivateFile(paths.cluster, `${serializeCredentials(next)}\n`);
    },
    on: (event) => listener.on(event),
    onRequest: answer,
  });
  stack.use(mesh);
  // Stopped before the mesh: taking a pipeline down means telling its workers.
  stack.use(loop);
  const running = mesh;
  store.dispatch({ type: "own", facts: { addresses: running.addresses() } });

  const modelWatch = stack.use(watchModels({ catalog, say, modelsChanged, signal }));
  const engines = createEngineReach({ store, loop, mesh: running, dataPlane, queues });
  const backend = createBackend({
    upstreams: upstreamViews(upstreams),
    store,
    catalog,
    pulls: own.pulls,
    kept: own.kept,
    manifests: own.manifests,
    modelsChanged,
    async lookAtModels() {
      await modelWatch.look();
      await own.kept.keeping.look();
    },
    mesh: running,
    deployer,
    onDemand,
    engines,
    aliases: createAliasBook({
      settings,
      modelNamed: (name) => modelNamed(store.state, name) ?? catalog.known(name)?.profile.id ?? null,
      isReady: (model) => isReady(store.state, model),
    }),
    log,
    signal,
    keys,
    dataPlane,
    setDraining,
    async leave() {
      await running.leave();
      // The answer to whoever asked goes out first.
      setTimeout(() => void end(null), 100);
    },
  });
  const accessLog = options.accessLog === undefined ? null : stack.use(await openAccessLog({ path: options.accessLog, warn }));
  const gateway = stack.use(
    await startGateway({
      backend,
      apiKey,
      assetsDir: existsSync(join(DASHBOARD_DIR, "index.html")) ? DASHBOARD_DIR : null,
      allowedHosts: isLoopback(options.apiHost) ? [] : [options.apiHost],
      allowedOrigins: [],
      host: options.apiHost,
      port: options.apiPort,
      log(line) {
        log.add(line);
        accessLog?.add(line);
      },
      upstreams,
      ...(options.cacheBytes === undefined ? {} : { cacheBytesMax: options.cacheBytes }),
    }),
  );
  const predictions = createPredictionLog(paths.predictions, (message) => say(message));
  stack.use(watchSpeed(store, loop, predictions));
  stack.use(
    watchPlans({
      store,
      profileOf: (contentId) => own.fileOf(contentId)?.profile ?? null,
      async isIdle(id) {
        const engine = loop.engineOf(id);
        return engine !== null && (await askCounters(engine))?.processing === 0;
      },
      move: (id) => deployer.replan(id, signal),
      log: (message) => say(message),
    }),
  );
  await writeDaemonRecord(paths.home, {
    pid: process.pid,
    api: gateway.url,
    apiKey,
    node: identity.id,
    startedAt: new Date().toISOString(),
  });
  stack.defer(() => unlink(paths.daemon).catch(() => undefined));
  for (const line of tellUpstreams(upstreams)) say(line, "warn");
  if (apiKey !== null) say(`the API listens beyond this machine; requests need the key in ${paths.apiKey}`, "warn");

  /** The model asked for at the start: the bundled one only where nothing else is deployed. */
  async function loadFirst(ref: string): Promise<void> {
    const bundled = BUNDLED_MODELS.some((model) => model.name === ref.toLowerCase());
    // What the members have deployed is known once their adverts are here.
    if (running.members().length > 0) await new Promise((done) => setTimeout(done, 500));
    if (bundled && allDeployments(store.state).some(({ view }) => view.state !== "failed")) return;
    try {
      await deployer.load({ model: ref }, signal);
    } catch (error) {
      const { message, next } = asClusterdError(error);
      say(`${ref} could not be loaded: ${message}${next === undefined ? "" : ` ${next}`}`, "warn");
    }
  }

  ownDevice.follow(store);
  listener.apiIsUp();

  stack.use(publishChanges(store, running));
  const orphans = createOrphanWatch();
  const refresh = setInterval(() => {
    ownDevice.refresh(store);
    void workers.stopWhere((stage) => orphans.isOrphan(store.state, stage, performance.now()));
  }, REFRESH_MS);
  stack.defer(() => clearInterval(refresh));
}
