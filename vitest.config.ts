import { availableParallelism } from "node:os";

import { defineConfig, type ViteUserConfig } from "vitest/config";

import { summaryReporter } from "./test/summary-reporter.ts";

// The sources themselves are tested, not dist: see `exports` and `imports` in package.json.
// Vite's own conditions have to be repeated, because the list replaces them.
const conditions = ["lastwrite-source", "module", "node", "development|production"];

const shared = {
  resolve: { conditions },
  ssr: { resolve: { conditions } },
};

const heavier = ["test/engines/**/*.test.ts", "test/laws/**/*.test.ts"];
const persistence = ["test/persistence/**/*.test.ts"];
const integration = [
  "test/integration/**/*.test.ts",
  "test/package/**/*.test.ts",
  "test/server/**/*.test.ts",
];
const browser = ["test/browser/**/*.test.ts"];

const config: ViteUserConfig = defineConfig({
  test: {
    // Vitest leaves a core to itself, which of two cores is half the speed.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    reporters: ["default", summaryReporter()],
    projects: [
      {
        ...shared,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [...heavier, ...persistence, ...integration, ...browser, "**/node_modules/**"],
          testTimeout: 20_000,
        },
      },
      { ...shared, test: { name: "engines", include: heavier, testTimeout: 120_000 } },
      {
        ...shared,
        test: {
          name: "persistence",
          include: persistence,
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        ...shared,
        test: {
          name: "integration",
          include: integration,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        ...shared,
        test: { name: "browser", include: browser, testTimeout: 60_000, hookTimeout: 60_000 },
      },
    ],
  },
});

export default config;
