/** One file, which takes React, the router and Chakra UI from Airflow's own page, and begins with its sources' digest. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vite";

const GIVEN: Record<string, string> = {
  react: "React",
  "react-dom": "ReactDOM",
  "react/jsx-runtime": "ReactJSXRuntime",
  "react-router-dom": "ReactRouterDOM",
  "@chakra-ui/react": "ChakraUI",
};

/** As `tests/unit/ui/test_page.py` counts it: every source by name, then its bytes. */
function sources(): string {
  const digest = createHash("sha256");
  const source = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) => /\.tsx?$/.test(name));
  const files = source.map((name) => `src/${name.replaceAll("\\", "/")}`);
  for (const file of [...files, "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"].sort()) {
    digest.update(`${file}\n`).update(readFileSync(file));
  }
  return digest.digest("hex");
}

export default defineConfig({
  define: { "process.env.NODE_ENV": '"production"' },
  build: {
    outDir: "../include/slipway/ui/static",
    emptyOutDir: true,
    lib: { entry: "src/main.tsx", name: "SlipwayPage", formats: ["iife"], fileName: () => "page.js" },
    rollupOptions: {
      external: Object.keys(GIVEN),
      output: { globals: GIVEN, postBanner: `/* Built by Vite from ui/. Sources: sha256 ${sources()} Contains uPlot (MIT, Leon Sorokin). */` },
    },
  },
});
