import assert from 'node:assert/strict';
import { IpgraftError } from '../../compiler/errors.js';
import { clientNetwork } from '../../runtime/serve/client-network.js';
import { RateLimit } from '../../runtime/serve/rate-limit.js';

/** A limit with a clock to set, and whether a client is let in: true, or the seconds that it is told to wait. */
function limit(count: number, ms: number) {
  const clock = { now: 1000 };
  const rate = new RateLimit({ count, ms }, () => clock.now);
  const ask = (client = 'a'): true | number => {
    try {
      rate.admit(client);
      return true;
    } catch (error) {
      assert.ok(error instanceof IpgraftError);
      assert.equal(error.code, 'SERVER_RATE_LIMIT');
      return error.facts.retryAfter as number;
    }
  };
  return { clock, rate, ask };
}

describe('rate limit', () => {
  it('takes as many requests at once as a time may have, then one for each part of it', () => {
    const { clock, ask } = limit(60, 60_000);
    for (let i = 0; i < 60; i++) assert.equal(ask(), true);
    assert.equal(ask(), 1);
    clock.now += 999;
    assert.equal(ask(), 1);
    clock.now += 1;
    assert.equal(ask(), true);
    assert.equal(ask(), 1);
    clock.now += 60_000;
    for (let i = 0; i < 60; i++) assert.equal(ask(), true);
    assert.equal(ask(), 1);
  });

  it('in no time of its length lets in more than twice its number, and in the long run its number', () => {
    const { clock, ask } = limit(7, 1000);
    const admitted: number[] = [];
    for (; clock.now < 21_000; clock.now += 10) if (ask() === true) admitted.push(clock.now);
    assert.ok(Math.abs(admitted.length - (7 + 7 * 20)) <= 1, `${admitted.length}`);
    for (const from of admitted)
      assert.ok(admitted.filter((at) => at >= from && at < from + 1000).length <= 14);
  });

  it('says when the next is taken, and then takes it', () => {
    const { clock, ask } = limit(1, 3_600_000);
    assert.equal(ask(), true);
    assert.equal(ask(), 3600);
    clock.now += 3_599_000;
    assert.equal(ask(), 1);
    clock.now += 1000;
    assert.equal(ask(), true);
  });

  it('clients do not pay for each other', () => {
    const { ask } = limit(2, 1000);
    assert.deepEqual([ask('a'), ask('a'), ask('a'), ask('b')], [true, true, 1, true]);
  });

  it('remembers those alone who still owe, and never more than a hundred thousand', () => {
    const { clock, rate, ask } = limit(1, 1000);
    for (let i = 0; i < 150_000; i++) assert.equal(ask(`${i}`), true);
    assert.equal(rate.clients, 100_000);
    assert.equal(ask('149999'), 1);
    clock.now += 1000;
    assert.equal(ask('new'), true);
    assert.equal(rate.clients, 1);
  });

  it('a client is an IPv4 address, or 64 bits of an IPv6 address', () => {
    for (const [address, network] of [
      ['127.0.0.1', '127.0.0.1'],
      ['::ffff:10.1.2.3', '10.1.2.3'],
      ['::FFFF:10.1.2.3', '10.1.2.3'],
      ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
      ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
      ['2001:db8::9', '2001:db8:0:0::/64'],
      ['fe80::1%eth0', 'fe80:0:0:0::/64'],
      ['::1', '0:0:0:0::/64'],
      ['::', '0:0:0:0::/64'],
      ['2001:db8::', '2001:db8:0:0::/64'],
      ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4::/64'],
      ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ] as const)
      assert.equal(clientNetwork(address), network, address);
  });
});
