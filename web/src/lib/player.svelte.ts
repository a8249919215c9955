// One sound at a time, at once.
//
// A few audio elements are kept: the one that plays, and those of the next rows, which have begun to load.
// A preview is a sound that follows the pointer and stops when it leaves; playing stays.

import { audioUrl, type Hit } from './api';
import { settings } from './settings.svelte';

const KEPT = 5;
const HOVER_MS = 140;

class Player {
  clip = $state.raw<Hit | null>(null);
  playing = $state(false);
  preview = $state(false);
  time = $state(0);
  length = $state(0);
  error = $state<string | null>(null);
  loop = $state(false);
  /** A preview was asked for before any click: browsers then stay silent. */
  blocked = $state(false);

  private elements = new Map<string, HTMLAudioElement>();
  private frame = 0;
  private hovering: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    $effect.root(() => {
      $effect(() => {
        for (const element of this.elements.values()) element.volume = settings.volume;
      });
    });
  }

  get element(): HTMLAudioElement | undefined {
    return this.clip ? this.elements.get(this.clip.id) : undefined;
  }

  /** Plays from `at` seconds; by default from the part that matches best. */
  play(clip: Hit, at?: number) {
    this.start(clip, at ?? start(clip), false);
  }

  toggle(clip: Hit | null) {
    if (clip && clip.id !== this.clip?.id) return this.play(clip);
    if (this.playing && !this.preview) return this.pause();
    if (this.clip) this.start(this.clip, this.ended() ? start(this.clip) : this.time, false);
  }

  pause() {
    this.element?.pause();
  }

  stop() {
    clearTimeout(this.hovering);
    this.pause();
    this.preview = false;
  }

  seek(at: number) {
    const element = this.element;
    if (!element) return;
    this.time = element.currentTime = Math.max(0, Math.min(at, this.length || at));
  }

  /** The pointer rests on a waveform at `at` seconds. Never interrupts what plays. */
  hover(clip: Hit, at: () => number) {
    clearTimeout(this.hovering);
    if (!settings.hover || (this.playing && !this.preview)) return;
    this.hovering = setTimeout(() => {
      if (!(this.playing && !this.preview)) this.start(clip, at(), true);
    }, HOVER_MS);
  }

  leave() {
    clearTimeout(this.hovering);
    if (this.preview) this.stop();
  }

  /** Begins to load sounds that are likely next. */
  warm(clips: Hit[]) {
    for (const clip of clips) this.load(clip).preload = 'auto';
    this.trim();
  }

  private ended = () => this.element?.ended ?? true;

  private load(clip: Hit): HTMLAudioElement {
    const known = this.elements.get(clip.id);
    if (known) {
      this.elements.delete(clip.id);
      this.elements.set(clip.id, known);
      return known;
    }
    const element = new Audio();
    element.preload = 'metadata';
    element.volume = settings.volume;
    element.src = audioUrl(clip.id);
    element.onerror = () => {
      if (this.element !== element) return;
      this.playing = false;
      this.error = clip.available
        ? `${clip.name} cannot be played: the browser does not read its format. It can be downloaded.`
        : `${clip.name} is away: its drive is not there. Connect it and play again.`;
      this.elements.delete(clip.id);
    };
    element.onplay = () => this.element === element && this.tick(true);
    element.onpause = () => this.element === element && this.tick(false);
    element.onended = () => {
      if (this.element !== element) return;
      if (this.loop && !this.preview) void this.run(element, start(clip), false);
      else this.tick(false);
    };
    element.ondurationchange = () => {
      if (this.element === element && Number.isFinite(element.duration)) this.length = element.duration;
    };
    this.elements.set(clip.id, element);
    return element;
  }

  private wanted = false;

  /** Whether something plays, or is about to once it has loaded. */
  get active() {
    return this.playing || this.wanted;
  }

  private start(clip: Hit, at: number, preview: boolean) {
    clearTimeout(this.hovering);
    const before = this.element;
    const element = this.load(clip);
    if (before && before !== element) before.pause();
    this.clip = clip;
    this.error = null;
    this.length = Number.isFinite(element.duration) ? element.duration : (clip.duration ?? 0);
    this.trim();
    void this.run(element, at, preview);
  }

  private async run(element: HTMLAudioElement, at: number, preview: boolean) {
    this.preview = preview;
    this.wanted = true;
    this.time = at;
    element.currentTime = at;
    try {
      await element.play();
      this.blocked = false;
    } catch (error) {
      const name = error instanceof DOMException ? error.name : '';
      if (name === 'NotAllowedError') this.blocked = true;
      // AbortError: paused before it began. NotSupportedError: told by onerror.
      if (this.element === element) this.tick(false);
    }
  }

  private tick(playing: boolean) {
    this.playing = playing;
    cancelAnimationFrame(this.frame);
    if (!playing) {
      this.wanted = false;
      return;
    }
    const step = () => {
      this.time = this.element?.currentTime ?? 0;
      this.frame = requestAnimationFrame(step);
    };
    step();
  }

  private trim() {
    for (const [id, element] of this.elements) {
      if (this.elements.size <= KEPT) return;
      if (id === this.clip?.id) continue;
      element.onerror = null;
      element.removeAttribute('src');
      element.load();
      this.elements.delete(id);
    }
  }
}

/** Where listening begins: at the best match if it is not the beginning anyway. */
export function start(clip: Hit): number {
  const span = clip.spans?.[0];
  return span && clip.duration && span.start < clip.duration ? span.start : 0;
}

export const player = new Player();
