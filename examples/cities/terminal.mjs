/** What the example prints: one line a step, with progress where a terminal can show it. */

const TITLE_WIDTH = 54;
const REDRAW_MS = 100;

export function print(text) {
  console.log(text);
}

/**
 * Runs one step and prints what it does, how long it took and what came of it.
 *
 * `run` is given a function that shows how far it is, from 0 to 1; it may be called as often as one likes.
 */
export async function step(title, run, { says }) {
  const startMs = performance.now();
  const result = await run(progress(title));
  const took = performance.now() - startMs;
  eraseProgress();
  print(`  ${title.padEnd(TITLE_WIDTH)} ${milliseconds(took).padStart(9)}   ${says(result)}`);
  return result;
}

/** Shows what is being done until the next line is printed. */
export function showProgress(text) {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K  ${text} …`);
}

export function eraseProgress() {
  if (process.stdout.isTTY) process.stdout.write("\r\x1b[2K");
}

/** Prints rows of text and numbers under headings; the columns of `right` are set right. */
export function table(headings, rows, right = []) {
  const lines = [headings, ...rows].map((row) => row.map(String));
  const widths = headings.map((_, column) => Math.max(...lines.map((row) => row[column].length)));
  const cell = (text, column) =>
    right.includes(column) ? text.padStart(widths[column]) : text.padEnd(widths[column]);
  for (const row of lines)
    print(
      `  ${row
        .map((text, column) => cell(text, column))
        .join("   ")
        .trimEnd()}`,
    );
}

export function count(number) {
  return number.toLocaleString("en");
}

export function bytes(number) {
  if (number < 10_000) return `${count(number)} bytes`;
  return number < 1e6 ? `${(number / 1e3).toFixed(1)} kB` : `${(number / 1e6).toFixed(2)} MB`;
}

export function milliseconds(ms) {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(2)} s`;
  return ms >= 100 ? `${ms.toFixed(0)} ms` : `${Number(ms.toPrecision(3))} ms`;
}

function progress(title) {
  showProgress(title);
  let shownMs = performance.now();
  let calls = 0;
  return (part) => {
    // The clock itself is slow beside a write, so it is asked now and then.
    calls += 1;
    if (calls % 1_024 !== 0) return;
    const nowMs = performance.now();
    if (nowMs - shownMs < REDRAW_MS) return;
    shownMs = nowMs;
    showProgress(`${title.padEnd(TITLE_WIDTH)} ${Math.floor(part * 100)} %`);
  };
}
