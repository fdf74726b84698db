import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { Pass } from '../compiler/pass.js';
import type { Adapter } from './adapter/adapter.js';
import { type ProjectionInputs, projectImage } from './adapter/projection-graph.js';

const OUTPUT = 'ip_hidden_states';

/** Puts an adapter's image projection in front of the one node of a graph that hands `embeddings` on as `ip_hidden_states`. */
export function imageProjection({ projection }: Adapter, inputs: ProjectionInputs): Pass {
  return {
    name: 'image-projection',
    summary: 'makes a model of its own of the image projection of an adapter',
    run(graph) {
      const fragment = new Fragment(new NodeNames(graph), '/image_proj');
      const options = { projection, opset: graph.opset, parameters: 'image_proj' };
      const to = projectImage(fragment, inputs, options);
      return [
        ...fragment.edits(OUTPUT),
        { kind: 'rewire', node: OUTPUT, input: 0, from: inputs.embeddings, to },
      ];
    },
  };
}
