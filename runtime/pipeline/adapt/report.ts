import { basename } from 'node:path';
import { sizeOf } from '../../../compiler/io/write-files.js';
import type { CompileReport } from '../../report.js';
import { VERSION } from '../../version.js';
import type { Adaptation } from '../folder/adaptation.js';
import type { AdaptedFolder } from './adapt.js';
import type { FolderPlan, PlannedFile } from './plan-folder.js';

/** What an adaptation found and did, as data: `--report FILE` and `--json`. */
export interface AdaptReport {
  /** Version of ipgraft. */
  readonly ipgraft: string;
  /** The folder that was adapted, by its name alone. */
  readonly folder: string;
  /** Of the pipeline, as model_index.json says it. */
  readonly pipeline: string;
  /** What stands in the ipgraft.json of the result. */
  readonly adaptation: Adaptation;
  /** The compilation of the UNet. */
  readonly unet: CompileReport;
  /** ControlNets that were made to leave image tokens alone. */
  readonly controlnets: readonly {
    /** Of its folder. */
    readonly name: string;
    /** Its compilation. */
    readonly report: CompileReport;
  }[];
  /** What the user should know. */
  readonly notes: readonly string[];
  /** Every file of the result, written or, in a dry run, to be written. */
  readonly files: readonly {
    /** A path below the folder. */
    readonly name: string;
    /** `copied` with every byte, `patched`, `added`, or `rewritten`: the same file with other entries. */
    readonly action: PlannedFile['action'];
    /** Its size. */
    readonly bytes: number;
  }[];
}

/** The report of an adaptation. */
export function adaptReport(
  { folder, adaptation, notes }: AdaptedFolder,
  { files, unet, controlnets }: FolderPlan,
): AdaptReport {
  return {
    ipgraft: VERSION,
    folder: basename(folder.path),
    pipeline: folder.className,
    adaptation,
    unet,
    controlnets,
    notes: [...unet.notes, ...notes],
    files: files.map(({ name, action, content }) => ({ name, action, bytes: sizeOf(content) })),
  };
}
