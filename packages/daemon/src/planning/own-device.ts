import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describeDevice, refreshFree, withProbes, type DeviceConfig } from "@clusterd/device";
import { isThrottled, measureDevices, speedKey, type Engine, type MeasuredSpeed } from "@clusterd/engine";
import { STAGE_OVERHEAD_MS } from "@clusterd/planner";
import { DECODED_KINDS_MAX, type DeviceInfo } from "@clusterd/wire";
import type { Store } from "../state/store.ts";
import { calibratedDevice } from "./calibrate.ts";
import { keepBandwidth, keptBandwidth, keptKinds } from "./kept-bandwidth.ts";
import { usedMemory } from "./used-memory.ts";

/**
 * A machine's first start waits this long for its probe: a daemon that goes on meanwhile takes a core from it, and the figure would be
 * wrong by a multiple. Later starts find it in the cache.
 */
const PROBE_WAIT_MS = 1_000;
/** Under a CPU quota both take a multiple of their time. */
const PROBE_WAIT_MS_THROTTLED = 4_000;
/** Once the daemon has been up for so long, and nothing decodes here, the figure of a first start is measured again. */
const CONFIRM_AFTER_MS = 15_000;
/** Free memory is told again when it has changed by so much of the total. */
const REFRESH_SHARE = 0.02;

export interface OwnDeviceOptions extends DeviceConfig {
  readonly engine: Engine;
  /** As the workers have. */
  readonly threads: number;
  readonly cacheDir: string;
  say(message: string): void;
}

/** What this machine gives, as it becomes known: by the table or what decoding showed before, its probes, decoding itself. */
export interface OwnDevice extends Disposable {
  /** As it is known at the start. */
  readonly device: DeviceInfo;
  /** Puts what the probes find into the state, now and later. */
  follow(store: Store): void;
  /** Brings free memory up to date, and the bandwidth where decoding shows another. */
  refresh(store: Store): void;
}

export async function createOwnDevice(options: OwnDeviceOptions): Promise<OwnDevice> {
  const { engine, threads, say } = options;
  const closing = new AbortController();
  const described = describeDevice(options);
  const { chip } = described;
  const file = join(options.cacheDir, "decode-bandwidth.json");
  const key = speedKey({ engine, chip, threads });
  const shown = described.bandwidthSource === "flag" ? null : await keptBandwidth(file, key, Date.now());
  const kindPrefix = `${key}/kind/`;
  const decoded = shown === null ? [] : (await keptKinds(file, kindPrefix, Date.now())).slice(0, DECODED_KINDS_MAX);
  const device: DeviceInfo =
    shown === null ? described : { ...described, bandwidthBytesPerSecond: shown, bandwidthSource: "decode", decoded };
  const measure = { engine, chip, threads, memoryBytes: described.memoryBytesTotal, signal: closing.signal };
  // A probe that fails is no reason not to start.
  const probed = measureDevices(measure).catch(() => []);
  const wait = new AbortController();
  await Promise.race([
    probed,
    sleep(isThrottled(threads) ? PROBE_WAIT_MS_THROTTLED : PROBE_WAIT_MS, undefined, { signal: wait.signal }),
  ]);
  wait.abort();

  let confirmAtMs = Infinity;
  function tell(store: Store, speeds: readonly (MeasuredSpeed | null)[]): void {
    if (closing.signal.aborted || speeds.length === 0) return;
    if (speeds.some((speed) => speed?.confirmed === false)) confirmAtMs = performance.now() + CONFIRM_AFTER_MS;
    const next = withProbes(store.state.own.device, speeds);
    if (
      next.bandwidthBytesPerSecond !== store.state.own.device.bandwidthBytesPerSecond ||
      next.flopsPerSecond !== store.state.own.device.flopsPerSecond
    )
      store.dispatch({ type: "own", facts: { device: next } });
  }

  async function keep(keys: readonly string[], bytesPerSecond: number): Promise<void> {
    try {
      for (const each of keys) await keepBandwidth(file, each, bytesPerSecond, Date.now());
    } catch (error) {
      say(`the bandwidth could not be kept for the next start: ${String(error)}`);
    }
  }

  return {
    device,
    follow(store) {
      void probed.then((speeds) => tell(store, speeds));
    },
    refresh(store) {
      if (performance.now() >= confirmAtMs && usedMemory(store.state, new Set()).get(store.state.self) === undefined) {
        confirmAtMs = Infinity;
        void measureDevices({ ...measure, confirm: true }).then(
          (speeds) => tell(store, speeds),
          () => undefined,
        );
      }
      const fresh = refreshFree(store.state.own.device);
      const changedBytes = Math.abs(fresh.memoryBytesFree - store.state.own.device.memoryBytesFree);
      if (changedBytes > fresh.memoryBytesTotal * REFRESH_SHARE) store.dispatch({ type: "own", facts: { device: fresh } });
      const calibrated = calibratedDevice(store.state, STAGE_OVERHEAD_MS);
      if (calibrated === null) return;
      const { bandwidthBytesPerSecond } = calibrated;
      say(`decoding shows a memory bandwidth of ${(bandwidthBytesPerSecond / 1e9).toFixed(1)} GB/s`);
      store.dispatch({ type: "own", facts: { device: calibrated } });
      const [latest] = calibrated.decoded ?? [];
      void keep([...(latest === undefined ? [] : [`${kindPrefix}${latest.kind}`]), key], bandwidthBytesPerSecond);
    },
    [Symbol.dispose]: () => closing.abort(),
  };
}
