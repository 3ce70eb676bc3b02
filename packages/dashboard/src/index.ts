import { fileURLToPath } from "node:url";

/** The folder of the built dashboard. */
export const DASHBOARD_DIR: string = fileURLToPath(new URL("../dist", import.meta.url));
