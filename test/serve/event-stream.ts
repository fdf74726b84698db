import assert from 'node:assert/strict';

/** An event as a stream brings it. */
export interface StreamedEvent {
  readonly type: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a server says is for the test to check
  readonly [field: string]: any;
}

/** Asks for a stream of events; comes back when it has begun. */
export async function openEvents(url: string, body: unknown, signal?: AbortSignal) {
  const response = await fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  return eventsIn(response);
}

/** The events of an answer, as they come. */
export async function* eventsIn(response: Response): AsyncGenerator<StreamedEvent> {
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const [, type, data] = /^event: (.+)\ndata: (.+)$/.exec(text.slice(0, end)) ?? [];
      text = text.slice(end + 2);
      if (type === undefined) continue;
      const event = JSON.parse(data!) as StreamedEvent;
      assert.equal(event.type, type);
      yield event;
    }
  }
  assert.equal(text, '');
}

/** All events of a stream that ends by itself. */
export async function allEvents(url: string, body: unknown): Promise<StreamedEvent[]> {
  const events: StreamedEvent[] = [];
  for await (const event of await openEvents(url, body)) events.push(event);
  return events;
}
