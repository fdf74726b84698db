import { askFor, Refused } from '../serve/ask-for.js';
import { eventsOf, type StreamEvent } from './event-stream.js';
import { base64Of, type PickedImage } from './picked-image.js';
import { imagesOf, requestBody } from './request-body.js';
import type { ServedPipeline } from './served.js';
import type { Wish } from './wish.js';

/** A picture that was made. */
export interface Made {
  readonly blob: Blob;
  readonly seed: number;
  readonly size: string;
  readonly scheduler: string;
  /** That were taken: fewer than asked for where a picture was started from. */
  readonly steps: number;
  readonly seconds: number;
  readonly warnings: readonly string[];
}

/** What is heard while pictures are made. */
export interface PaintListener {
  /** How many requests are before this one. */
  queued(position: number): void;
  started(steps: number): void;
  /** @param previews one small picture for each, as addresses */
  step(step: number, steps: number, previews: readonly string[]): void;
  made(picture: Made): Promise<void>;
}

/** Asks for pictures until they are there or `signal` says to stop. Fails as {@link askFor} does, and with what the stream says. */
export async function paint(
  wish: Wish,
  pipeline: ServedPipeline,
  token: string | undefined,
  listener: PaintListener,
  signal: AbortSignal,
): Promise<void> {
  const encoded = new Map<PickedImage, string>();
  for (const image of imagesOf(wish)) encoded.set(image, await base64Of(image));
  const body = {
    ...requestBody(wish, pipeline, (image) => encoded.get(image)!),
    stream: true,
    previews: true,
  };
  const reply = await askFor('v1/images/generations', token, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
  let isDone = false;
  for await (const event of eventsOf(reply))
    switch (event.type) {
      case 'image_generation.queued':
        listener.queued(event.position);
        break;
      case 'image_generation.started':
        listener.started(event.steps);
        break;
      case 'image_generation.step':
        listener.step(event.step, event.steps, (event.previews ?? []).map(pngAddress));
        break;
      case 'image_generation.completed':
        isDone = true;
        await listener.made(madeOf(event));
        break;
      case 'error':
        throw new Refused(500, event.error.message, event.error.param ?? undefined);
    }
  if (!isDone) throw new Error('The connection ended before the picture was there.');
}

function pngAddress(base64: string): string {
  return `data:image/png;base64,${base64}`;
}

function madeOf({ b64_json, seed, size, scheduler, steps, seconds, warnings }: StreamEvent): Made {
  const bytes = Uint8Array.from(atob(b64_json), (letter) => letter.charCodeAt(0));
  return { blob: new Blob([bytes], { type: 'image/png' }), seed, size, scheduler, steps, seconds, warnings };
}
