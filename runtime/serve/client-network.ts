/**
 * What stands for a client where there is no token: its IPv4 address, or the first 64 bits of its IPv6 address, since one client has all the
 * addresses that begin so.
 * @param address as Node gives it for a socket
 */
export function clientNetwork(address: string): string {
  const plain = address.replace(/%.*$/, '').toLowerCase();
  const mapped = /^::ffff:([\d.]+)$/.exec(plain)?.[1];
  if (mapped !== undefined || !plain.includes(':')) return mapped ?? plain;
  const [left, right] = plain
    .replace(/[\d.]+\.\d+$/, '0:0')
    .split('::')
    .map((half) => (half === '' ? [] : half.split(':'))) as [string[], string[]?];
  const zeros = new Array<string>(8 - left.length - (right?.length ?? 0)).fill('0');
  return `${[...left, ...(right === undefined ? [] : [...zeros, ...right])].slice(0, 4).join(':')}::/64`;
}
