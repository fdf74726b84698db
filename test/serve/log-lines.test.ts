import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { logLines } from '../../runtime/serve/http/log-lines.js';

describe('lines of a log', () => {
  /** A stream whose reader takes nothing until it is told to. */
  function slowStream() {
    const taken: string[] = [];
    let isReading = false;
    let goOn = () => {};
    const stream = new Writable({
      decodeStrings: false,
      write(line: string, _, done) {
        taken.push(line);
        if (isReading) done();
        else goOn = done;
      },
    });
    return {
      stream,
      taken,
      read() {
        isReading = true;
        goOn();
      },
    };
  }

  it('wait for a slow reader up to 1 MiB; what is lost is counted in the next line', async () => {
    const { stream, taken, read } = slowStream();
    const lines = logLines(stream);
    const line = `${'x'.repeat(1023)}\n`;
    for (let i = 0; i < 3000; i++) lines.write(line);
    assert.ok(stream.writableLength <= 2 ** 20 + line.length, `${stream.writableLength} bytes wait`);
    read();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(stream.writableLength, 0);
    const kept = taken.length;
    assert.ok(taken.every((each) => each === line));
    lines.write('again\n');
    lines.write('and again\n');
    const [gap, ...rest] = taken.slice(kept).join('').trim().split('\n');
    const { level, lost, msg } = JSON.parse(gap!);
    assert.deepEqual([level, lost, typeof msg], [40, 3000 - kept, 'string']);
    assert.deepEqual(rest, ['again', 'and again']);
  });

  it('go nowhere when the reader has gone, and nothing comes of it', async () => {
    const { stream } = slowStream();
    const lines = logLines(stream);
    stream.destroy(new Error('EPIPE'));
    await new Promise((resolve) => setImmediate(resolve));
    lines.write('line\n');
  });
});
