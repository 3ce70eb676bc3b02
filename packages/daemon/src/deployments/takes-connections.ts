import { connect, type Socket } from "node:net";

const ANSWER_MS_MAX = 700;
/** A lost packet is sent again after a second only: a second try says whether it was that. */
const SECOND_TRY_MS = 250;

/** Whether a machine takes a connection within a moment: its kernel does, however busy the program behind the port is. */
export function takesConnections(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const tries: Socket[] = [];
    let refused = 0;
    const settle = (answer: boolean): void => {
      clearTimeout(again);
      clearTimeout(deadline);
      for (const socket of tries) socket.destroy();
      resolve(answer);
    };
    const dial = (): void => {
      const socket = connect({ host: address, port });
      tries.push(socket);
      socket.once("connect", () => settle(true));
      socket.on("error", () => {
        refused += 1;
        if (refused === 2) settle(false);
      });
    };
    const again = setTimeout(dial, SECOND_TRY_MS);
    const deadline = setTimeout(() => settle(false), ANSWER_MS_MAX);
    dial();
  });
}
