import react from "@vitejs/plugin-react";
import { defineConfig, type UserConfig } from "vite";

import { LICENSES, offline } from "./offline.ts";

/** Builds the page that the server serves into dist/web, with the package of dist/. */
const config: UserConfig = defineConfig({
  root: import.meta.dirname,
  plugins: [react(), offline()],
  build: {
    outDir: "../dist/web",
    emptyOutDir: true,
    target: "es2022",
    // The server allows nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What React and others want to be said with their code.
    license: { fileName: LICENSES },
    reportCompressedSize: false,
  },
});

export default config;
