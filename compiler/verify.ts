import { editsBetween } from './edit/edits-between.js';
import type { Journal } from './edit/journal.js';
import { netJournal } from './edit/net-journal.js';
import { IpgraftError } from './errors.js';
import type { Graph } from './onnx/graph.js';
import type { Node, ValueName } from './onnx/node.js';

/**
 * Checks that an edited graph is still a legal ONNX graph where the edits touched it: every value made once and before it is
 * read, every inserted name unique, nothing inserted in vain; and that it differs from the base in what the journal says
 * and in nothing else. What the base itself was is not judged.
 * @throws IpgraftError `VERIFY_VALUE_MADE_TWICE`, `VERIFY_VALUE_UNKNOWN`, `VERIFY_NAME_TAKEN`, `VERIFY_UNUSED`, `VERIFY_UNDECLARED`
 */
export function verify(base: Graph, graph: Graph, journal: Journal): void {
  const touched = new Set<Node>(graph.nodes);
  for (const node of base.nodes) touched.delete(node);
  verifyValues(graph, touched, base.isSorted);
  verifyNames(graph);
  verifyUse(base, graph);
  verifyJournal(base, graph, journal);
}

function verifyValues(graph: Graph, touched: ReadonlySet<Node>, sorted: boolean): void {
  const known = new Set<ValueName>(['', ...graph.initializers.keys(), ...graph.inputs.keys()]);
  for (const node of graph.nodes) {
    if (touched.has(node)) {
      for (const input of node.inputs) {
        if (known.has(input) || (!sorted && (graph.producer(input)?.place ?? null) !== null)) continue;
        throw new IpgraftError(
          'VERIFY_VALUE_UNKNOWN',
          `${node.label} reads ${input}, which nothing makes before it`,
          {
            node: node.label,
            value: input,
          },
        );
      }
    }
    for (const output of node.outputs) {
      if (output !== '' && known.has(output)) {
        throw new IpgraftError(
          'VERIFY_VALUE_MADE_TWICE',
          `${node.label} makes ${output}, which exists already`,
          {
            node: node.label,
            value: output,
          },
        );
      }
      known.add(output);
    }
  }
}

/** ONNX Runtime refuses a model with two nodes of one name. */
function verifyNames(graph: Graph): void {
  const taken = new Map<string, Node>();
  for (const node of graph.nodes) {
    if (node.name === '') continue;
    const other = taken.get(node.name);
    if (other !== undefined && (node.place === null || other.place === null)) {
      throw new IpgraftError('VERIFY_NAME_TAKEN', `two nodes are called ${node.name}`, { name: node.name });
    }
    taken.set(node.name, node);
  }
}

function verifyUse(base: Graph, graph: Graph): void {
  const read = new Set<ValueName>(graph.outputs.keys());
  for (const node of graph.nodes) for (const input of node.inputs) read.add(input);
  const isUsed = (value: ValueName) => read.has(value);
  for (const node of graph.nodes) {
    if (node.place === null && !node.outputs.some(isUsed)) throw unused(node.label);
  }
  for (const name of graph.initializers.keys())
    if (!base.initializers.has(name) && !isUsed(name)) throw unused(name);
  for (const name of graph.inputs.keys()) if (!base.inputs.has(name) && !isUsed(name)) throw unused(name);
}

function verifyJournal(base: Graph, graph: Graph, journal: Journal): void {
  const { entries, unexplained } = editsBetween(base, graph);
  const declared = new Set(netJournal(base, journal).map((entry) => JSON.stringify(entry)));
  const undeclared = entries.map((entry) => JSON.stringify(entry)).filter((entry) => !declared.has(entry));
  const [first] = [...unexplained, ...undeclared];
  if (first === undefined && entries.length === declared.size) return;
  throw new IpgraftError(
    'VERIFY_UNDECLARED',
    `the graph differs from its base in what no edit declares: ${first ?? 'an edit had no effect'}`,
    { declared: declared.size, found: entries.length },
  );
}

function unused(what: string): IpgraftError {
  return new IpgraftError('VERIFY_UNUSED', `${what} was inserted and nothing reads it`, { what });
}
