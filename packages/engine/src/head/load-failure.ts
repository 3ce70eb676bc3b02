import { ClusterdError, type ErrorCode } from "@clusterd/wire";

interface Cause {
  readonly code: ErrorCode;
  readonly pattern: RegExp;
  /** What happened, from the match; the log's own line is quoted behind it. */
  readonly say: (match: RegExpExecArray, modelId: string) => string;
  readonly next?: string;
}

/** Known causes in the order of their weight: the engine reports one failure on several lines, from the inside out. */
const CAUSES: readonly Cause[] = [
  {
    code: "worker_lost",
    pattern: /Failed to connect to (127\.0\.0\.1:\d+)/,
    say: ([, endpoint]) => `The worker behind ${endpoint} does not take connections`,
  },
  {
    code: "protocol_mismatch",
    pattern: /RPC server version mismatch: (\S+)/,
    say: ([, version]) => `A worker speaks RPC protocol ${version}`,
    next: "Run the same clusterd on all machines.",
  },
  {
    code: "does_not_fit",
    pattern:
      /failed to allocate (?:(RPC\d+\[[^\]]+\]|\S+) )?buffer|unable to allocate (\S+) buffer|insufficient memory|out of memory|OutOfDeviceMemory/i,
    say: ([, device, other], modelId) => `There is not enough memory for ${modelId}${place(device ?? other)}`,
    next: "Use a shorter context, fewer slots, a smaller cache type, or one more machine.",
  },
  {
    code: "worker_lost",
    pattern: /Remote RPC server crashed|RPC.*(?:recv|send) failed/i,
    say: () => "The connection to a worker broke",
  },
  {
    code: "model_broken",
    pattern: /error loading model|gguf_init_from|failed to load model|unknown model architecture/,
    say: (_, modelId) => `The file of ${modelId} cannot be loaded`,
  },
  {
    code: "unsupported",
    pattern: /error: (?:invalid argument|unknown argument|while handling argument)|invalid device/i,
    say: () => "The engine does not take its command line",
  },
];

function place(device: string | undefined): string {
  if (device === undefined || /^of$/.test(device)) return "";
  const endpoint = /^RPC\d+\[(.+)\]$/.exec(device)?.[1];
  return endpoint === undefined ? ` on ${device}` : ` on the worker behind ${endpoint}`;
}

const PREFIX = /^\d+\.\d+\.\d+\.\d+ [A-Z] /;
const ERROR_LINE = /^\d+\.\d+\.\d+\.\d+ E |GGML_ASSERT|^error|terminate called|what\(\):/;

/** Why llama-server ended, from the last lines it wrote. `how` is its end in words; the result always quotes the log's own reason. */
export function explainHeadEnd(lines: readonly string[], how: string, modelId: string): ClusterdError {
  for (const { code, pattern, say, next } of CAUSES) {
    const line = lines.find((candidate) => pattern.test(candidate));
    const match = line === undefined ? null : pattern.exec(line);
    if (line === undefined || match === null) continue;
    const details = { endpoint: match[0].match(/127\.0\.0\.1:\d+/)?.[0] ?? null };
    return new ClusterdError(code, `${say(match, modelId)} (${plain(line)}).`, {
      details,
      ...(next === undefined ? {} : { next }),
    });
  }
  const said = lines.find((line) => ERROR_LINE.test(line));
  const killed = how.includes("SIGKILL") ? " The system does that when memory runs out." : "";
  return new ClusterdError("engine_crashed", `llama-server ${how}${said === undefined ? "" : `: ${plain(said)}`}.${killed}`);
}

/** A log line without its time and level, and without where in the sources it was written. */
function plain(line: string): string {
  return line
    .replace(PREFIX, "")
    .replace(/^\S*\/(\S+:\d+): /, "$1: ")
    .trim();
}
