/** The page as people meet it: served by the program, in a real browser. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

import type { Locator, Page } from "playwright-core";

const root = join(import.meta.dirname, "../..");
const program = join(root, "dist/cli/main.js");
const pictures = join(root, "target/browser");

export interface ServedPage {
  /** `http://127.0.0.1:…`: the same after each restart. */
  readonly address: string;
  /** Ends the program at once, as a loss of power does; what it kept stays. */
  kill(): Promise<void>;
  start(options?: { readonly page?: string }): Promise<void>;
  /** Ends it, and removes what it kept. */
  close(): Promise<void>;
}

/** The program `lastwrite serve` with a folder of its own. */
export async function servePage(): Promise<ServedPage> {
  const data = mkdtempSync("/var/tmp/lastwrite-served-");
  let port = "0";
  let child: ChildProcess | undefined;
  const start = async ({ page }: { readonly page?: string } = {}): Promise<void> => {
    const args = ["serve", "--port", port, "--data", data, "--log-level", "error"];
    child = spawn(process.execPath, [program, ...args, ...(page ? ["--page", page] : [])], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    port = new URL(await listening(child)).port;
  };
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null) return;
    running.kill("SIGKILL");
    await once(running, "exit");
  };
  await start();
  const address = `http://127.0.0.1:${port}`;
  return {
    address,
    kill,
    start,
    close: async () => {
      await kill();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** The address that the program prints. */
async function listening(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error("the program has no output");
  for await (const line of createInterface({ input: child.stdout })) {
    const [address] = /http:\/\/\S+/u.exec(line) ?? [];
    if (address !== undefined) return address;
  }
  throw new Error("the program ended before it listened");
}

/** Somebody who uses the page. */
export class Visitor {
  readonly page: Page;
  /** What the page and its scripts complained of, but for servers that are gone. */
  readonly complaints: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      const text = message.text();
      if (
        message.type() === "error" &&
        !/ERR_CONNECTION_REFUSED|WebSocket connection/u.test(text)
      ) {
        this.complaints.push(text);
      }
    });
  }

  /** Opens a room, and waits until it is there. */
  async visit(address: string): Promise<void> {
    await this.page.goto(address);
    await this.grid.waitFor();
  }

  get grid(): Locator {
    return this.page.getByRole("grid");
  }

  get keyField(): Locator {
    return this.page.getByLabel("Key", { exact: true });
  }

  get valueField(): Locator {
    return this.page.getByLabel("Value", { exact: true });
  }

  get details(): Locator {
    return this.page.locator(".details");
  }

  /** Of the connection, in words. */
  get status(): Locator {
    return this.page.locator(".status");
  }

  /** The row of a key, if it is in sight. */
  row(key: string): Locator {
    return this.grid.getByRole("row").filter({ has: this.page.getByText(key, { exact: true }) });
  }

  /** Waits until the key is shown with this text. */
  async sees(key: string, text: string): Promise<void> {
    await this.row(key)
      .locator(".text")
      .and(this.page.getByText(text, { exact: true }))
      .waitFor();
  }

  async seesStatus(words: string): Promise<void> {
    await this.status.filter({ hasText: words }).waitFor();
  }

  button(name: string): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  /** Fills the form in. */
  async type(key: string, type: string, value: string): Promise<void> {
    await this.keyField.fill(key);
    await this.page.getByLabel("Type", { exact: true }).selectOption({ label: type });
    if (type === "Boolean") await this.valueField.selectOption(value);
    else if (type !== "Null") await this.valueField.fill(value);
  }

  async set(key: string, value: string, type = "Text"): Promise<void> {
    await this.type(key, type, value);
    await this.button("Set").click();
    await this.page.getByText(`Set “${key}”.`).waitFor();
  }

  async rename(name: string): Promise<void> {
    await this.page.getByTitle("Change your name").click();
    await this.page.getByLabel("Your name").fill(name);
    await this.page.keyboard.press("Enter");
    await this.page.getByTitle("Change your name").filter({ hasText: name }).waitFor();
  }

  /** Resolves when the browser has kept the page. */
  async isKept(): Promise<void> {
    await this.page.evaluate(async () => {
      await navigator.serviceWorker.ready;
    });
  }

  /** Leaves a picture in target/browser/. */
  async picture(name: string): Promise<void> {
    mkdirSync(pictures, { recursive: true });
    await this.page.screenshot({ path: join(pictures, `${name}.png`) });
  }
}
