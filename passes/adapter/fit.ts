import { IpgraftError } from '../../compiler/errors.js';
import type { CrossAttention, Located } from '../locate-cross-attention.js';
import type { Adapter } from './adapter.js';
import type { AdapterLayer } from './layers.js';

/**
 * Pairs an adapter's layers with a UNet's cross-attentions by id, and refuses one that is for another UNet.
 * Equal shapes prove nothing about the order: that is `checkpoint-order.ts`, held by tests with numbers.
 * @throws IpgraftError `ADAPTER_COUNT`, `ADAPTER_WIDTH`
 */
export function fitAdapter(
  adapter: Adapter,
  { attentions, inputWidth }: Located,
): Map<CrossAttention, AdapterLayer> {
  if (adapter.layers.length !== attentions.length) {
    throw new IpgraftError(
      'ADAPTER_COUNT',
      `${adapter.name} has ${adapter.layers.length} layers, the UNet has ${attentions.length} cross-attentions`,
      { adapter: adapter.name, layers: adapter.layers.length, crossAttentions: attentions.length },
    );
  }
  const layers = new Map(
    attentions.map((attention, n) => {
      const layer = adapter.layers[n]!;
      const [width, textWidth] = layer.key.shape;
      if (width !== attention.width || textWidth !== attention.textWidth) {
        throw new IpgraftError(
          'ADAPTER_WIDTH',
          `${adapter.name}: layer ${layer.id} is [${width}, ${textWidth}], ${attention.scope} needs [${attention.width}, ${attention.textWidth}]`,
          {
            adapter: adapter.name,
            layer: layer.id,
            scope: attention.scope,
            found: [width!, textWidth!],
            sought: [attention.width, attention.textWidth],
          },
        );
      }
      return [attention, layer];
    }),
  );
  const { textWidth: width } = attentions[0]!;
  if (adapter.tokenWidth !== width && adapter.tokenWidth !== inputWidth) {
    throw new IpgraftError(
      'ADAPTER_WIDTH',
      `${adapter.name}: the image tokens are ${adapter.tokenWidth} wide, the UNet reads ${[...new Set([width, inputWidth])].join(' or ')}`,
      { adapter: adapter.name, found: adapter.tokenWidth, sought: [width, inputWidth] },
    );
  }
  return layers;
}
