import { rmSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

const target = '../crates/server/assets';

// The folder also holds a README, so only what an earlier build left is cleared.
const clear: Plugin = {
  name: 'clear',
  apply: 'build',
  buildStart() {
    rmSync(`${target}/assets`, { recursive: true, force: true });
  },
};

export default defineConfig({
  plugins: [svelte(), clear],
  build: {
    outDir: target,
    emptyOutDir: false,
    target: 'es2022',
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: Object.fromEntries(
      ['/v1', '/audio', '/waveform', '/spectrogram'].map((path) => [
        path,
        { target: process.env['AUROLA'] ?? 'http://127.0.0.1:8080', changeOrigin: true },
      ]),
    ),
  },
});
