// Draws a sound: its wave, the parts that match, how well each moment matches, and where it plays.

import type { Moment } from './api';
import type { Peaks } from './peaks';

export interface Palette {
  wave: string;
  played: string;
  span: string;
  edge: string;
  heat: string;
  head: string;
  rail: string;
}

let palette: Palette | null = null;
let painted = -1;

/** The theme's colours as a canvas takes them; `light-dark()` is only resolved in a used property. */
export function colours(generation: number): Palette {
  if (palette && painted === generation) return palette;
  const probe = document.createElement('i');
  document.body.append(probe);
  const of = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  palette = {
    wave: of('wave'),
    played: of('accent'),
    span: of('span'),
    edge: of('span-edge'),
    heat: of('heat'),
    head: of('text'),
    rail: of('rail'),
  };
  probe.remove();
  painted = generation;
  return palette;
}

export interface Picture {
  peaks: Peaks | null;
  /** Whether something else draws the sound itself. */
  isOverlay: boolean;
  spans: Moment[];
  heat: Moment[];
  /** Seconds. */
  length: number;
  /** Seconds played, or null where it does not play. */
  time: number | null;
}

const BAR = 2;
const GAP = 1;
const STRIP = 4;

/** Canvas pixels follow the screen's, so lines stay sharp. */
export function draw(canvas: HTMLCanvasElement, picture: Picture, colour: Palette) {
  const ratio = Math.min(2, devicePixelRatio || 1);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (width === 0 || height === 0) return;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext('2d');
  if (!pen) return;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const { length, heat, spans, time } = picture;
  const hasHeat = heat.length > 0 || spans.length > 0;
  const body = height - (hasHeat ? STRIP + 3 : 0);
  const x = (seconds: number) => (length > 0 ? Math.min(1, Math.max(0, seconds / length)) * width : 0);

  for (const [n, span] of spans.entries()) {
    const [from, to] = [x(span.start), Math.max(x(span.start) + 2, x(span.end))];
    // A span over the whole sound says nothing by its place.
    if (to - from >= width - 1) continue;
    pen.globalAlpha = (n === 0 ? 1 : 0.5) * (picture.isOverlay ? 0.3 : 1);
    pen.fillStyle = colour.span;
    pen.fillRect(from, 0, to - from, body);
    pen.globalAlpha = n === 0 ? 1 : 0.5;
    pen.fillStyle = colour.edge;
    pen.fillRect(from, 0, to - from, 1.5);
  }
  pen.globalAlpha = 1;

  if (!picture.isOverlay) wave(pen, picture.peaks, width, body, time === null ? 0 : x(time), colour);
  if (hasHeat) strip(pen, heat.length > 0 ? heat : spans, body + 3, width, x, colour);
  if (time !== null) {
    pen.fillStyle = colour.head;
    pen.fillRect(Math.min(width - 1.5, x(time)), 0, 1.5, body);
  }
}

function wave(
  pen: CanvasRenderingContext2D,
  peaks: Peaks | null,
  width: number,
  height: number,
  played: number,
  colour: Palette,
) {
  const middle = height / 2;
  if (!peaks || peaks.length < 2) {
    pen.fillStyle = colour.rail;
    pen.fillRect(0, middle - 0.5, width, 1);
    return;
  }
  const points = peaks.length / 2;
  const bars = Math.max(1, Math.floor((width + GAP) / (BAR + GAP)));
  // Quiet sounds are made larger, so that their shape is seen; never more than eightfold.
  let loudest = 16;
  for (const value of peaks) loudest = Math.max(loudest, Math.abs(value));
  const [before, after] = [new Path2D(), new Path2D()];
  for (let bar = 0; bar < bars; bar += 1) {
    const from = Math.floor((bar * points) / bars);
    const to = Math.max(from + 1, Math.floor(((bar + 1) * points) / bars));
    let [low, high] = [0, 0];
    for (let at = from; at < to; at += 1) {
      low = Math.min(low, peaks[2 * at] ?? 0);
      high = Math.max(high, peaks[2 * at + 1] ?? 0);
    }
    const top = middle - Math.max(0.75, (high / loudest) * (middle - 1));
    const bottom = middle + Math.max(0.75, (-low / loudest) * (middle - 1));
    const left = bar * (BAR + GAP);
    (left < played ? before : after).rect(left, top, BAR, bottom - top);
  }
  pen.fillStyle = colour.wave;
  pen.fill(after);
  pen.fillStyle = colour.played;
  pen.fill(before);
}

/** How well each moment matches, from the file's own least to its own most. */
function strip(
  pen: CanvasRenderingContext2D,
  heat: Moment[],
  top: number,
  width: number,
  x: (seconds: number) => number,
  colour: Palette,
) {
  pen.fillStyle = colour.rail;
  pen.fillRect(0, top, width, STRIP);
  const scores = heat.map((moment) => moment.score);
  const [least, most] = [Math.min(...scores), Math.max(...scores)];
  pen.fillStyle = colour.heat;
  for (const moment of heat) {
    const strength = most > least ? (moment.score - least) / (most - least) : 1;
    pen.globalAlpha = 0.12 + 0.88 * strength * strength;
    const left = x(moment.start);
    pen.fillRect(left, top, Math.max(1.5, x(moment.end) - left - 0.5), STRIP);
  }
  pen.globalAlpha = 1;
}
