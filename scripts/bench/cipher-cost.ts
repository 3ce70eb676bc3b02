import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

const ALGORITHM = "aes-128-gcm";
const KEY_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MEASURED_BYTES = 256e6;

/** What AES-128-GCM costs through Node's crypto, a piece at a time: ms of processor time per MB (10^6). */
export interface CipherCost {
  readonly pieceBytes: number;
  readonly sealMs: number;
  readonly openMs: number;
}

/** The result's memory is given back, as the tunnels do. */
export function measureCipher(pieceBytes: number): CipherCost {
  const [key, piece] = [randomBytes(KEY_BYTES), randomBytes(pieceBytes)];
  const pieces = Math.ceil(MEASURED_BYTES / pieceBytes);
  const nonce = Buffer.alloc(NONCE_BYTES);
  const seal = (): { sealed: Buffer; tag: Buffer } => {
    const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
    const sealed = cipher.update(piece);
    cipher.final();
    return { sealed, tag: cipher.getAuthTag() };
  };
  const { sealed, tag } = seal();
  const open = (): Buffer => {
    const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES }).setAuthTag(tag);
    const opened = decipher.update(sealed);
    decipher.final();
    return opened;
  };
  const cost = (work: () => Buffer): number => {
    const before = process.cpuUsage();
    for (let count = 0; count < pieces; count += 1) giveBack(work());
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e3 / ((pieces * pieceBytes) / 1e6);
  };
  return { pieceBytes, sealMs: cost(() => seal().sealed), openMs: cost(open) };
}

function giveBack({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
