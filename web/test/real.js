// The same page on a real server with a real index; what is in it is not known, so only what holds for any.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ask, audit, drop, hear, playing } from './checks.js';

/** @type {{ name: string, check: (page: import('playwright-core').Page) => Promise<string | void> }[]} */
export const real = [
  {
    name: 'words find, waveforms draw, sounds play',
    async check(page) {
      await hear(page);
      await ask(page, 'rain');
      const wave = await page.request.get(
        await page.evaluate(async () => {
          const answer = await fetch('/v1/search?q=rain&limit=1');
          return new URL((await answer.json()).results[0].waveform_url, location.href).href;
        }),
      );
      assert.equal(wave.status(), 200);
      await page.getByRole('button', { name: 'Play', exact: true }).click();
      await page.waitForTimeout(700);
      const sounding = await playing(page);
      assert.ok(sounding.length === 1, JSON.stringify(sounding));
      await page.keyboard.press('Escape');
      await page.keyboard.press('s');
      await page.locator('.row img').first().waitFor();
      await audit(page, 'real');
      return (await page.locator('#row-0 .name').textContent()) ?? '';
    },
  },
  {
    name: 'more like this, filters, sort, groups: every question is understood',
    async check(page) {
      /** @type {string[]} */
      const refused = [];
      page.on('response', async (response) => {
        if (response.status() >= 400)
          refused.push(`${response.url()} ${response.status()} ${await response.text().catch(() => '')}`);
      });
      await ask(page, 'water');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('m');
      await page.waitForTimeout(600);
      await page.getByLabel('Sounds you do not want').fill('engine');
      await page.keyboard.press('Enter');
      await page.waitForTimeout(600);
      for (const order of ['newest', 'shortest', 'longest', 'path', 'relevance']) {
        await page.getByLabel('Order').selectOption(order);
        await page.waitForTimeout(300);
      }
      for (const group of ['folder', 'alike', 'none']) {
        await page.getByLabel('Grouping').selectOption(group);
        await page.waitForTimeout(300);
      }
      await page.getByLabel('Sample rate').selectOption('44100');
      await page.getByLabel('Changed since').fill('2020-01-01');
      await page.getByRole('button', { name: 'strong', exact: true }).click();
      await page.waitForTimeout(600);
      assert.deepEqual(refused, []);
    },
  },
  {
    name: 'a dropped sound, a tag, a collection and its exports',
    async check(page) {
      const sound = process.env['AUROLA_SOUND'];
      if (sound) {
        const answered = page.waitForResponse((response) => response.url().endsWith('/v1/search'));
        await drop(page, 'dropped.wav', readFileSync(sound));
        assert.equal((await answered).status(), 200);
      }
      await page.getByLabel('Add a tag').fill('from the page');
      await page.keyboard.press('Enter');
      await page.locator('.dock').getByText('from the page').waitFor();
      await page.getByRole('button', { name: 'Remove tag from the page' }).click();
      await page.locator('#row-0').getByRole('button', { name: 'Add to a collection' }).click();
      await page.getByRole('dialog').getByLabel('Name of a new collection').fill('Page check');
      await page.getByRole('button', { name: 'Create and add' }).click();
      await page.getByRole('button', { name: 'Export Page check' }).click();
      for (const format of ['CSV', 'M3U8', 'ZIP', 'JSON']) {
        const coming = page.waitForEvent('download');
        await page.getByRole('link', { name: new RegExp(format) }).click();
        assert.ok(readFileSync(await (await coming).path()).length > 10, format);
      }
      await page.getByRole('button', { name: 'Delete the collection' }).click();
      await page.getByRole('button', { name: 'Export Page check' }).waitFor({ state: 'detached' });
    },
  },
  {
    name: 'a folder is indexed while one searches',
    async check(page) {
      const folder = process.env['AUROLA_FOLDER'];
      if (!folder) return 'not run: AUROLA_FOLDER names none';
      await page.locator('.library').click();
      await page.getByLabel(/Folder to index/).fill(folder);
      await page.getByRole('button', { name: 'Index', exact: true }).click();
      await page.keyboard.press('Escape');
      await ask(page, 'bell');
      await page.getByText(/^Indexed: /).waitFor({ timeout: 120_000 });
    },
  },
];
