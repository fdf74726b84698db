import type { Pass } from '../compiler/pass.js';
import { passExamples } from './pass-examples.js';
import { sources } from './sources.js';

/** docs/passes.md: each pass with its summary, what its source says of it, and its picture. */
export async function passesPage(): Promise<string> {
  const passes = (await passExamples()).map(({ step }) => step.pass);
  return `# Passes

A compilation is a list of passes ([passes/index.ts](../passes/index.ts)); each reads the graph that the passes before it left, and
answers with edits. Before them \`locateCrossAttention\` finds the attentions on the base: edits never rename a value, so what it
found holds in every later graph. One of the first three passes brings the image tokens in (\`--tokens\`), the next four always
run. The others come in where an option or the adapter asks for them: masks (\`--masks\`), keys and values computed elsewhere (\`--hoist\`),
FaceID's LoRA, Kolors' linear layer, and ComfyUI's ways to scale. \`drop-image-tokens\` is for ControlNets and stands alone with the stamp.
The last three give every input a batch (\`--batched\`, for servers that put requests together), after a compilation or on a base.

In the pictures grey is what a pass found, green is what it inserted, orange is a reading that it moved, and a dotted line ties a node
to its clone. They show the middle block's cross-attention of a real export (\`sd15-sdpa-dynamo23\`), drawn from the edits themselves
by \`npm run docs\`. Below an operator stand its layer or value and its shape. B: rows, L: text tokens, T: image tokens, S: positions of
the query, C: width of the text, h: width of the attention, H: heads, d: width of a head, E: width of the encoder's features.

${passes.map(section).join('\n\n')}
`;
}

function section(pass: Pass): string {
  return [
    `## ${pass.name}`,
    '',
    `*${pass.summary}.*`,
    '',
    docComment(pass.name),
    '',
    `![What ${pass.name} does](pictures/${pass.name}.svg)`,
    '',
    `Source: [passes/${pass.name}.ts](../passes/${pass.name}.ts)`,
  ].join('\n');
}

/** The doc comment of the function that makes the pass: the one that returns a Pass. */
function docComment(name: string): string {
  const factory = sources
    .getSourceFileOrThrow(`passes/${name}.ts`)
    .getFunctions()
    .find((each) => each.isExported() && each.getReturnTypeNode()?.getText() === 'Pass');
  if (factory === undefined) throw new Error(`passes/${name}.ts exports no function that returns a Pass`);
  return factory.getJsDocs()[0]!.getDescription().trim();
}
