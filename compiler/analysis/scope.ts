import type { Graph } from '../onnx/graph.js';
import type { Node } from '../onnx/node.js';

/** From where a module path was read, best first. */
export type ScopeSource = 'node name' | 'node metadata' | 'value name' | 'initializer name';

/** The module of the PyTorch model in which a node was traced: `down_blocks.0.attentions.0.….attn2.to_k`. */
export interface Scope {
  readonly path: string;
  readonly source: ScopeSource;
}

/**
 * The module path of a node, from what exporters leave: TorchScript puts it into node and value names
 * (`/down_blocks.0/…/attn2/to_k/MatMul`), dynamo into the metadata `pkg.torch.onnx.name_scopes` (a Python list,
 * outermost first, the node itself last) and `namespace`, and a linear layer's weight or bias may still bear its name.
 */
export function scopeOf(graph: Graph, node: Node): Scope | undefined {
  const named = modulePath(node.name);
  if (named !== undefined) return { path: named, source: 'node name' };
  const scoped = fromMetadata(node);
  if (scoped !== undefined) return { path: scoped, source: 'node metadata' };
  const valued = modulePath(node.id);
  if (valued !== undefined) return { path: valued, source: 'value name' };
  return fromInitializers(graph, node);
}

/**
 * `/unet/down_blocks.0/attn2/to_k/MatMul_output_0` → `unet.down_blocks.0.attn2.to_k`. A Sequential's child repeats its parent:
 * `/layer1/layer1.0/conv/Conv` → `layer1.0.conv`.
 */
export function modulePath(name: string): string | undefined {
  if (!name.startsWith('/')) return undefined;
  const modules = name.split('/').slice(1, -1);
  const own = modules.filter((module, i) => !modules[i + 1]?.startsWith(`${module}.`));
  return own.length === 0 ? undefined : own.join('.');
}

function fromMetadata(node: Node): string | undefined {
  const scopes = node.metadata('pkg.torch.onnx.name_scopes');
  if (scopes !== undefined) {
    const names = [...scopes.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g)].map(
      (match) => match[1] ?? match[2] ?? '',
    );
    const module = names.at(-2);
    if (module !== undefined && module !== '') return module;
  }
  // `: Class/down_blocks.0: Class/…/down_blocks.0.….to_k: torch.nn.….Linear/linear_8: aten.linear.default`
  const modules = node.metadata('namespace')?.split('/').slice(0, -1) ?? [];
  return modules.at(-1)?.split(':')[0]?.trim() || undefined;
}

/** The name of a parameter without its last part is the module that owns it. */
function fromInitializers(graph: Graph, node: Node): Scope | undefined {
  for (const input of node.inputs) {
    if (!graph.initializers.has(input)) continue;
    const path = moduleOfParameter(input);
    if (path !== undefined) return { path, source: 'initializer name' };
  }
  return undefined;
}

/** `….attn2.to_out.0.bias` → `….attn2.to_out.0`; a name without dots, or one made by an exporter, has no module. */
export function moduleOfParameter(name: string): string | undefined {
  const match = /^([\w.]+)\.(?:weight|bias)$/.exec(name);
  return match?.[1];
}
