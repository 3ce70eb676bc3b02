import { BadFrame, TENSOR_BYTES } from "./protocol.ts";
import type { TensorGuard } from "./tensor-guard.ts";

/** Checks the tensors of a graph as it streams by: `n × node id u64 | tensor count u32 | tensors`. */
export interface GraphGuard {
  /** `payloadBytes` behind the head, which tells the number of nodes. */
  begin(nodes: number, payloadBytes: number): void;
  body(bytes: Buffer): void;
}

export function createGraphGuard(guard: TensorGuard): GraphGuard {
  /** Bytes of node ids that still come, then -1 once the count is known. */
  let skip = 0;
  let tensorBytes = 0;
  let counted = false;
  const piece = Buffer.allocUnsafe(TENSOR_BYTES);
  let pieceBytes = 0;

  function count(): void {
    if (pieceBytes < 4) return;
    counted = true;
    pieceBytes = 0;
    if (piece.readUInt32LE(0) * TENSOR_BYTES !== tensorBytes) throw new BadFrame("a graph whose counts contradict its size");
  }

  return {
    begin(nodes, payloadBytes) {
      skip = nodes * 8;
      tensorBytes = payloadBytes - skip - 4;
      counted = false;
      pieceBytes = 0;
      if (tensorBytes < 0 || tensorBytes % TENSOR_BYTES !== 0) throw new BadFrame("a graph whose counts contradict its size");
    },
    body(bytes) {
      let at = Math.min(skip, bytes.length);
      skip -= at;
      while (at < bytes.length) {
        const wanted = counted ? TENSOR_BYTES : 4;
        if (counted && pieceBytes === 0 && bytes.length - at >= TENSOR_BYTES) {
          guard.tensor(bytes, at);
          at += TENSOR_BYTES;
          continue;
        }
        const taken = Math.min(wanted - pieceBytes, bytes.length - at);
        pieceBytes += bytes.copy(piece, pieceBytes, at, at + taken);
        at += taken;
        if (!counted) count();
        else if (pieceBytes === TENSOR_BYTES) {
          pieceBytes = 0;
          guard.tensor(piece, 0);
        }
      }
    },
  };
}
