import { expandDiffusersScale } from './diffusers-scale.js';
import type { CrossAttention } from './locate-cross-attention.js';
import { badScale, type Scale } from './scale.js';

/**
 * Reads `--scale`: `input`, `layers`, `rows`, `optional=0.6`, a number, diffusers' dictionary as JSON, or a JSON list with a
 * number or dictionary per adapter.
 * @throws IpgraftError `OPTION_SCALE`
 */
export function parseScale(text: string, attentions: readonly CrossAttention[], adapters: number): Scale {
  if (text === 'input' || text === 'layers' || text === 'rows') return { kind: text };
  const optional = /^optional=(.+)$/.exec(text);
  if (optional) return { kind: 'optional', value: finite(optional[1]!, text) };
  if (!/^\s*[{[]/.test(text)) {
    const value = finite(text, text);
    return { kind: 'constant', of: () => value };
  }
  const json = parseJson(text);
  const entries = Array.isArray(json) ? json : new Array(adapters).fill(json);
  if (entries.length !== adapters) throw badScale(text, `${entries.length} scales for ${adapters} adapters`);
  const tables = entries.map((entry) =>
    expandDiffusersScale(entry, attentions, (why) => badScale(JSON.stringify(entry), why)),
  );
  return { kind: 'constant', of: (adapter, attention) => tables[adapter]!.get(attention.id) ?? 0 };
}

function finite(text: string, whole: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw badScale(whole, `“${text}” is no number`);
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badScale(text, (error as Error).message);
  }
}
