import type { Datatype } from '../../../serve/tensor.js';
import type { RequestTo } from './request.js';

/** NumPy's names; there is none of BF16, and onnxruntime-node has none either. */
const NUMPY: Readonly<Record<Exclude<Datatype, 'BF16' | 'BYTES'>, string>> = {
  BOOL: 'bool',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
};

/** The request as a Python script with NVIDIA's tritonclient. */
export function pythonRequest({ base, model, hasToken, inputs, outputs }: RequestTo): string {
  const { protocol, host, pathname } = new URL(base);
  const address = python(`${host}${pathname.replace(/\/$/, '')}`);
  const headers = `, headers={"Authorization": f"Bearer {os.environ['IPGRAFT_TOKEN']}"}`;
  return [
    ...(hasToken ? ['import os', ''] : []),
    'import numpy as np',
    'import tritonclient.http as triton',
    'from tritonclient.utils import np_to_triton_dtype',
    '',
    `client = triton.InferenceServerClient(${address}, network_timeout=300${protocol === 'https:' ? ', ssl=True' : ''})`,
    'arrays = {',
    ...inputs.map(({ name, datatype, shape }) => `    ${python(name)}: ${arrayOf(datatype, shape)},`),
    '}',
    'inputs = []',
    'for name, array in arrays.items():',
    '    tensor = triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))',
    '    tensor.set_data_from_numpy(array)',
    '    inputs.append(tensor)',
    `result = client.infer(${python(model)}, inputs${hasToken ? headers : ''})`,
    ...outputs.map(({ name }) => `print(${python(name)}, result.as_numpy(${python(name)}))`),
  ].join('\n');
}

function arrayOf(datatype: Datatype, shape: readonly number[]): string {
  if (datatype === 'BYTES') return `np.full([${shape.join(', ')}], "text", object)`;
  return `np.zeros([${shape.join(', ')}], np.${NUMPY[datatype as keyof typeof NUMPY]})`;
}

/** A text as Python writes it, in printable ASCII. */
function python(text: string): string {
  const characters = Array.from(text, (each) => {
    const point = each.codePointAt(0)!;
    if (point > 0xffff) return `\\U${point.toString(16).padStart(8, '0')}`;
    if (point < 0x20 || point > 0x7e) return `\\u${point.toString(16).padStart(4, '0')}`;
    return /["\\]/.test(each) ? `\\${each}` : each;
  });
  return `"${characters.join('')}"`;
}
