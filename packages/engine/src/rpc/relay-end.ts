/** The ways out of one end of a relay, for one connection. */
export interface RelayWires {
  /** To the engine of this machine. */
  toLocal(bytes: Buffer): void;
  /** Resolves once the engine has taken enough to be given more. */
  localReady(): Promise<void>;
  /** To the other end. */
  toRemote(bytes: Buffer): void;
  /** Ends the connection, both ways. */
  fail(error: Error): void;
}

/**
 * What passes one connection, between the engine here and the other end of the tunnel. A chunk that is handed in is its own; what it
 * throws ends the connection; while a promise of it is open, that direction must wait.
 */
export interface RelayEnd {
  /** What is kept of a chunk beyond its turn is a copy. */
  readonly copiesWhatItKeeps: true;
  begin(wires: RelayWires): void;
  fromLocal(chunk: Buffer): Promise<void> | void;
  fromRemote(chunk: Buffer): Promise<void> | void;
  ended(): void;
}

const unconnected = (): never => {
  throw new Error("the connection has not begun");
};
/** Before a connection has begun. */
export const NO_WIRES: RelayWires = {
  toLocal: unconnected,
  localReady: unconnected,
  toRemote: unconnected,
  fail: unconnected,
};
