export { formatBytes, parseSize } from "@clusterd/device";
