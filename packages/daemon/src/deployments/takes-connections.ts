import { connect } from "node:net";

const ANSWER_MS_MAX = 900;

/** Whether a machine takes a connection within a second: its kernel does, however busy the program behind the port is. */
export function takesConnections(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const settle = (answer: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => settle(false), ANSWER_MS_MAX);
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}
