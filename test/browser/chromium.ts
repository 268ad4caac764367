/** The browser of the tests: Debian's Chromium, which `bash scripts/chromium.sh` installs. */

import { existsSync } from "node:fs";

import { type Browser, type BrowserContext, chromium } from "playwright-core";

const path = "/usr/bin/chromium";

/** Where it has to be there, a test without it fails; elsewhere it is skipped where everyone sees it. */
export const isBrowserRequired: boolean = (process.env["CI"] ?? "") !== "";

/** Why there is no browser; empty where there is one. */
export const browserAbsence: string = existsSync(path)
  ? ""
  : `there is no ${path}; bash scripts/chromium.sh installs it`;

const options = {
  executablePath: path,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
};

/** One that keeps everything in memory. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch(options);
}

/** One that keeps everything in this folder. */
export function launchProfile(folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, options);
}
