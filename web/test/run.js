// Drives the page in a real Chromium: against the mock, and against the server that AUROLA_URL names.
//
//   node test/run.js            all of it; --shots also writes docs/screenshots
//   CHROMIUM=/path AUROLA_URL=http://127.0.0.1:PORT AUROLA_SOUND=FILE AUROLA_FOLDER=DIR node test/run.js
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { checks } from './checks.js';
import { serve } from './mock/serve.js';
import { real } from './real.js';

const here = dirname(fileURLToPath(import.meta.url));
const only = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: [
    // A container has neither a sandbox nor a sound card; the clock of the audio runs all the same.
    '--no-sandbox',
    '--use-fake-ui-for-media-stream',
    '--use-fake-device-for-media-stream',
  ],
});
let failed = 0;

/** @param {string} name @param {string} url @param {(page: import('playwright-core').Page) => Promise<string | void>} check @param {import('playwright-core').BrowserContextOptions} [options] @param {boolean} [violates] breaks the policy on purpose */
async function run(name, url, check, options = {}, violates = false) {
  if (only.length && !only.some((word) => name.includes(word))) return;
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    acceptDownloads: true,
    permissions: ['microphone', 'clipboard-read', 'clipboard-write'],
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  /** @type {string[]} */
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(`uncaught: ${error.stack}`));
  page.on('console', (line) => {
    // Network failures that a check makes on purpose are not the page's.
    if (violates && /Content Security Policy/.test(line.text())) return;
    if (line.type() === 'error' && !/Failed to load resource/.test(line.text()))
      wrong.push(`console: ${line.text()}`);
  });
  page.on('dialog', (dialog) => {
    wrong.push(`a script opened a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  const began = performance.now();
  try {
    await page.goto(url);
    await page.locator('#row-0').waitFor();
    const said = await check(page);
    if (wrong.length) throw new Error(wrong.join('\n'));
    console.log(`ok    ${name}${said ? `: ${said}` : ''} (${Math.round(performance.now() - began)} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error instanceof Error ? error.stack : error}\n${wrong.join('\n')}`);
  }
  await context.close();
}

for (const { name, check, server = {}, options, violates } of checks) {
  if (only.length && !only.some((word) => name.includes(word))) continue;
  const mock = await serve(server);
  await run(name, mock.url, (page) => check(page, mock), options, violates);
  mock.close();
}

const url = process.env['AUROLA_URL'];
if (url) for (const { name, check } of real) await run(`real server: ${name}`, url, check);
else console.log('not run: the real server (AUROLA_URL names none)');

if (process.argv.includes('--shots')) {
  const folder = join(here, '../../docs/screenshots');
  mkdirSync(folder, { recursive: true });
  const mock = await serve();
  const wide = { width: 1280, height: 800 };
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
  for (const [file, words, options] of /** @type {const} */ ([
    ['page-light.png', 'rain on a tin roof', { viewport: wide, colorScheme: 'light' }],
    ['page-dark.png', 'bird song at dawn', { viewport: wide, colorScheme: 'dark' }],
    ['page-phone.png', 'church bell', { ...phone, colorScheme: 'light' }],
  ])) {
    await run(
      `screenshot ${file}`,
      mock.url,
      async (page) => {
        await page.getByLabel('Describe a sound').fill(words);
        await page.locator('.row .strong').first().waitFor();
        await page.waitForTimeout(400);
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowDown');
        await page.waitForTimeout(2000);
        const path = join(folder, file);
        await page.screenshot({ path });
        return `${Math.round(readFileSync(path).length / 1000)} KB`;
      },
      options,
    );
  }
  mock.close();
}

await browser.close();
if (failed) {
  console.log(`${failed} failed`);
  process.exit(1);
}
