import { preact } from "@preact/preset-vite";
import { defineConfig, type UserConfig } from "vite";

const config: UserConfig = defineConfig({
  root: "app",
  base: "./",
  plugins: [preact()],
  build: { outDir: "../dist", emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false } },
});

export default config;
