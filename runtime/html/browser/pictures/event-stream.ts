/** One event of a stream: the data, as JSON, of each says its type too. */
export interface StreamEvent {
  readonly type: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a type of event holds is for its reader to know
  readonly [field: string]: any;
}

/** The events of an answer of type text/event-stream, as they come; comments are passed over. */
export async function* eventsOf(reply: Response): AsyncGenerator<StreamEvent> {
  const reader = reply.body!.pipeThrough(new TextDecoderStream()).getReader();
  // Pictures come in many pieces: joined once, not at each.
  let pieces: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const [first, ...others] = value.split('\n');
      pieces.push(first!);
      for (const next of others) {
        const line = pieces.join('').replace(/\r$/, '');
        pieces = [next];
        if (line.startsWith('data:')) yield JSON.parse(line.slice('data:'.length));
      }
    }
  } finally {
    await reader.cancel();
  }
}
