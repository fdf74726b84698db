import { IpgraftError } from '../../../compiler/errors.js';
import type { Graph } from '../../../compiler/onnx/graph.js';

/** What a release of Triton loads ONNX models with. */
export interface TritonRelease {
  /** Year and month, as its containers are called. */
  readonly release: string;
  /** Its version of ONNX Runtime. */
  readonly onnxruntime: string;
  /** Newest version of ONNX's own operators. */
  readonly opset: number;
  /** Newest version of the file format. */
  readonly ir: number;
}

/**
 * ONNX Runtime of each release of Triton.
 *
 * Source: “ONNX Runtime Versions” in docs/introduction/compatibility.md of triton-inference-server/server.
 */
const ONNX_RUNTIME: Readonly<Record<string, string>> = {
  '24.04': '1.17.3',
  '24.05': '1.18.0',
  '24.06': '1.18.0',
  '24.07': '1.18.1',
  '24.08': '1.18.1',
  '24.09': '1.19.2',
  '24.10': '1.19.2',
  '24.11': '1.19.2',
  '24.12': '1.20.1',
  '25.01': '1.20.1',
  '25.02': '1.20.1',
  '25.03': '1.21.0',
  '25.04': '1.21.0',
  '25.05': '1.22.0',
  '25.06': '1.22.0',
  '25.07': '1.22.0',
  '25.08': '1.23.0',
  '25.09': '1.23.0',
  '25.10': '1.23.1',
  '25.11': '1.23.2',
  '25.12': '1.23.2',
  '26.01': '1.23.2',
  '26.02': '1.24.1',
  '26.03': '1.24.2',
  '26.04': '1.24.4',
  '26.05': '1.24.4',
  '26.06': '1.24.4',
  '26.07': '1.27.0',
  '26.08': '1.28.0',
};

/**
 * Newest opset of ai.onnx, and newest IR version, that ONNX Runtime loads, by its minor version: those of the ONNX that it is built with,
 * opsets as far as they were released then.
 *
 * Source: docs/Versioning.md of microsoft/onnxruntime and of onnx/onnx.
 */
const NEWEST: Readonly<Record<string, readonly [opset: number, ir: number]>> = {
  '1.17': [20, 9],
  '1.18': [21, 10],
  '1.19': [21, 10],
  '1.20': [21, 10],
  '1.21': [22, 10],
  '1.22': [22, 10],
  '1.23': [23, 11],
  '1.24': [25, 13],
  '1.27': [26, 13],
  '1.28': [26, 13],
};

/** The release that is meant when nothing is said. */
export const USUAL_RELEASE = '26.04';

/** @throws IpgraftError `OPTION_TARGET` for a release that is not known */
export function tritonRelease(release: string): TritonRelease {
  const onnxruntime = new Map(Object.entries(ONNX_RUNTIME)).get(release);
  if (onnxruntime === undefined) {
    const known = Object.keys(ONNX_RUNTIME);
    throw new IpgraftError(
      'OPTION_TARGET',
      `--target ${release}: sought a release of Triton from ${known[0]} to ${known.at(-1)}`,
      { release },
    );
  }
  const [opset, ir] = NEWEST[onnxruntime.replace(/\.\d+$/, '')]!;
  return { release, onnxruntime, opset, ir };
}

/** @throws IpgraftError `PACKAGE_TOO_NEW` for a model that a release does not load, with the first release that does */
export function refuseTooNew({ opset, irVersion }: Graph, file: string, target: TritonRelease): void {
  const loads = (each: TritonRelease) => opset <= each.opset && irVersion <= each.ir;
  if (loads(target)) return;
  const first = Object.keys(ONNX_RUNTIME).map(tritonRelease).find(loads);
  throw new IpgraftError(
    'PACKAGE_TOO_NEW',
    `${file} has opset ${opset} and IR ${irVersion}; Triton ${target.release} has ONNX Runtime ${target.onnxruntime}, which loads opset ${target.opset} and IR ${target.ir} at most`,
    { opset, ir: irVersion, target: target.release },
    {
      hint:
        first === undefined
          ? 'No release that is known loads it: export it with an older opset.'
          : `Package it for Triton ${first.release} or later (--target ${first.release}), or export it with an older opset.`,
    },
  );
}
