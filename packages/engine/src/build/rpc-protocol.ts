/** The version of llama.cpp's RPC protocol this clusterd speaks: its frame checks are written for exactly this one. */
export const ENGINE_RPC_PROTOCOL = "7.0.0";

/**
 * Whether two engines can work together. All three numbers must agree: llama.cpp's client checks major and minor only, but the
 * patch number counts changes of the operator table, and a graph carries operators by number: another table computes garbage.
 */
export function sameRpcProtocol(a: string, b: string): boolean {
  return a === b && /^\d+\.\d+\.\d+$/.test(a);
}
