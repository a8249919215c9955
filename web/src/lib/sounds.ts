// Sounds that people bring: dropped, pasted, chosen or recorded, as the server takes them.

import { ApiError } from './api';

/** The server's own bound on one sound. */
const MOST_BYTES = 25 * 1000 * 1000;
const RATE = 16_000;
/** Seconds of a sound that is too large to be sent whole. */
const MOST_SECONDS = 300;

export const isSound = (file: File) =>
  file.type.startsWith('audio/') ||
  file.type.startsWith('video/') ||
  /\.(wav|wave|bwf|rf64|aiff?|flac|mp3|m4a|aac|ogg|oga|opus|caf|mka|mkv|mp4|webm|au)$/i.test(file.name);

export function filesOf(transfer: DataTransfer | null): File[] {
  return transfer ? [...transfer.files].filter(isSound) : [];
}

/** In base64: the bytes as they are, or, of what is large, 16 kHz mono made by the browser. */
export async function toBase64(sound: Blob, name: string): Promise<string> {
  if (sound.size === 0) throw new ApiError('empty', `${name} is empty.`, 'Choose another sound.');
  return base64(sound.size <= MOST_BYTES ? sound : await toWav(sound, name));
}

/** Decoded, mixed and resampled by the browser: 16-bit mono WAV at 16 kHz. */
export async function toWav(sound: Blob, name: string): Promise<Blob> {
  const bytes = await sound.arrayBuffer();
  const context = new OfflineAudioContext(1, 1, RATE);
  let decoded: AudioBuffer;
  try {
    decoded = await context.decodeAudioData(bytes);
  } catch {
    const help = 'Convert it to WAV, FLAC, MP3 or OGG, or use a piece below 25 MB.';
    throw new ApiError('unprocessable', `The browser cannot decode ${name}.`, help);
  }
  const seconds = Math.min(decoded.duration, MOST_SECONDS);
  const mix = new OfflineAudioContext(1, Math.max(1, Math.ceil(seconds * RATE)), RATE);
  const source = mix.createBufferSource();
  source.buffer = decoded;
  source.connect(mix.destination);
  source.start();
  return wav((await mix.startRendering()).getChannelData(0));
}

function wav(samples: Float32Array): Blob {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at: number, word: string) =>
    [...word].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, 'RIFF');
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, 'data');
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, n) =>
    view.setInt16(44 + 2 * n, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true),
  );
  return new Blob([view], { type: 'audio/wav' });
}

export function base64(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    // Without the type in front: systems guess it from the name, the server looks at the bytes.
    reader.onload = () => resolve((reader.result as string).replace(/^[^,]*,/, ''));
    reader.onerror = () => reject(new ApiError('unreadable', 'The file cannot be read.', null));
    reader.readAsDataURL(blob);
  });
}

/** Records until `stop`. */
export async function record(): Promise<{ stop: () => Promise<Blob>; level: () => number }> {
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    const denied = error instanceof DOMException && error.name === 'NotAllowedError';
    throw denied
      ? new ApiError(
          'microphone',
          'The browser does not let this page hear the microphone.',
          'Allow it at the left of the address bar.',
        )
      : new ApiError('microphone', 'There is no microphone.', 'Plug one in, or drop a sound file here.');
  }
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const wave = new Float32Array(analyser.fftSize);
  const recorder = new MediaRecorder(stream);
  const pieces: Blob[] = [];
  recorder.ondataavailable = (event) => pieces.push(event.data);
  recorder.start();
  return {
    level() {
      analyser.getFloatTimeDomainData(wave);
      return Math.min(1, 4 * Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length));
    },
    stop: () =>
      new Promise((resolve, reject) => {
        recorder.onstop = () => {
          stream.getTracks().forEach((track) => track.stop());
          void context.close();
          toWav(new Blob(pieces, { type: recorder.mimeType }), 'the recording').then(resolve, reject);
        };
        recorder.stop();
      }),
  };
}
