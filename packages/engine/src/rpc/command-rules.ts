import type { FrameShape } from "./frame-scanner.ts";
import {
  BadFrame,
  COMMAND,
  GRAPH_BYTES_MAX,
  GRAPH_HEAD_BYTES,
  HEAD_BYTES_MAX,
  INJECT_BYTES,
  PACKABLE_BYTES_MAX,
  PACKED_HEAD_BYTES,
  readSize,
  REQUEST_PREFIX_BYTES,
  SET_TENSOR_HEAD_BYTES,
  TENSOR_BYTES,
  TENSOR_DATA_BYTES_MAX,
} from "./protocol.ts";

/** What is known of a command before its payload is looked at. */
export interface CommandRule {
  readonly name: string;
  readonly payload: readonly [least: number, most: number];
  /** Payload bytes that are checked, in one piece; what follows them streams. */
  readonly headBytes: number;
  /** Bytes of the answer: none, always so many, or as many as were asked for. */
  readonly answer: number | "none" | "asked";
}

const exactly = (name: string, bytes: number, answer: CommandRule["answer"]): CommandRule => ({
  name,
  payload: [bytes, bytes],
  headBytes: bytes,
  answer,
});

/** What a head may ask of an engine. */
export const COMMAND_RULES: ReadonlyMap<number, CommandRule> = new Map<number, CommandRule>([
  [COMMAND.allocBuffer, exactly("ALLOC_BUFFER", 12, 16)],
  [COMMAND.getAlignment, exactly("GET_ALIGNMENT", 4, 8)],
  [COMMAND.getMaxSize, exactly("GET_MAX_SIZE", 4, 8)],
  [COMMAND.bufferGetBase, exactly("BUFFER_GET_BASE", 8, 8)],
  [COMMAND.freeBuffer, exactly("FREE_BUFFER", 8, "none")],
  [COMMAND.bufferClear, exactly("BUFFER_CLEAR", 9, "none")],
  [
    COMMAND.setTensor,
    {
      name: "SET_TENSOR",
      payload: [SET_TENSOR_HEAD_BYTES, TENSOR_DATA_BYTES_MAX],
      headBytes: SET_TENSOR_HEAD_BYTES,
      answer: "none",
    },
  ],
  [COMMAND.setTensorHash, exactly("SET_TENSOR_HASH", TENSOR_BYTES + 16, 1)],
  [COMMAND.getTensor, exactly("GET_TENSOR", TENSOR_BYTES + 16, "asked")],
  [COMMAND.copyTensor, exactly("COPY_TENSOR", 2 * TENSOR_BYTES, 1)],
  [
    COMMAND.graphCompute,
    { name: "GRAPH_COMPUTE", payload: [GRAPH_HEAD_BYTES + 4, GRAPH_BYTES_MAX], headBytes: GRAPH_HEAD_BYTES, answer: "none" },
  ],
  [COMMAND.getDeviceMemory, exactly("GET_DEVICE_MEMORY", 4, 16)],
  [COMMAND.initTensor, exactly("INIT_TENSOR", TENSOR_BYTES, "none")],
  [COMMAND.getAllocSize, exactly("GET_ALLOC_SIZE", 4 + 11 * TENSOR_BYTES, 8)],
  [COMMAND.hello, exactly("HELLO", 24, 28)],
  [COMMAND.deviceCount, exactly("DEVICE_COUNT", 0, 4)],
  [COMMAND.graphRecompute, exactly("GRAPH_RECOMPUTE", 4, "none")],
  [COMMAND.memsetTensor, exactly("MEMSET_TENSOR", TENSOR_BYTES + 17, "none")],
]);

/** What our own relay may ask of the other besides. */
const RELAY_RULES: ReadonlyMap<number, CommandRule> = new Map<number, CommandRule>([
  [COMMAND.ping, exactly("PING", 0, "none")],
  [COMMAND.inject, exactly("INJECT", INJECT_BYTES, "none")],
  [
    COMMAND.packed,
    {
      name: "a packed frame",
      payload: [PACKED_HEAD_BYTES, PACKABLE_BYTES_MAX],
      headBytes: HEAD_BYTES_MAX - REQUEST_PREFIX_BYTES,
      answer: "none",
    },
  ],
]);

/** The shape of the request that begins so. Throws where it is none, or its size cannot be. `relayed`: it came from our own relay. */
export function shapeOfRequest(prefix: Buffer, relayed: boolean): FrameShape {
  const command = prefix.readUInt8(0);
  const rule = COMMAND_RULES.get(command) ?? (relayed ? RELAY_RULES.get(command) : undefined);
  if (rule === undefined) throw new BadFrame(`the command ${command}`);
  const payloadBytes = readSize(prefix, 1);
  if (!(payloadBytes >= rule.payload[0] && payloadBytes <= rule.payload[1])) {
    const version = command === COMMAND.hello ? ": it speaks another version of the RPC protocol" : "";
    throw new BadFrame(`${rule.name} of ${prefix.readBigUInt64LE(1)} bytes${version}`);
  }
  return { payloadBytes, headBytes: rule.headBytes };
}
