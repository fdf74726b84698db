import { type Command, Option } from 'commander';
import { IpgraftError } from '../../compiler/errors.js';
import { EMBEDS_SCALINGS, type EmbedsScaling } from '../../passes/embeds-scaling.js';
import type { GraftOptions, TokenSource } from '../../passes/plan.js';
import { WEIGHT_TYPES, type WeightType } from '../../passes/weight-types.js';
import type { CompileOptions } from '../compile.js';
import { numberOf } from './number-option.js';
import { collect } from './repeated-option.js';
import { type ShortcutFlags, withShortcutOption } from './shortcut-option.js';

/** How a UNet is patched: the options that `compile` and `adapt` share. */
export interface GraftFlags extends ShortcutFlags {
  readonly tokens: TokenSource;
  readonly scale: string;
  readonly images?: string;
  readonly masks?: true;
  readonly hoist?: true;
  readonly loraScale?: string;
  readonly weightType?: WeightType;
  readonly compositionWeight?: string;
  readonly boost?: string;
  readonly embedsScaling?: EmbedsScaling;
  readonly pattern: string[];
  readonly textInput?: string;
}

/** Adds to a command the options of {@link GraftFlags}. */
export function withGraftOptions(command: Command): Command {
  return withShortcutOption(command)
    .addOption(
      new Option('--tokens <source>', 'where image tokens come from')
        .choices(['split', 'input', 'embeds'])
        .default('split'),
    )
    .option('--scale <scale>', 'input, layers, rows, optional=N, a number, or diffusers’ JSON', 'input')
    .option('--images <n>', 'how many images each adapter reads: one number, or one per adapter (2,1)')
    .option(
      '--hoist',
      'compute image keys and values once per image, in a model of their own; the UNet takes them as ip_kv',
    )
    .option('--masks', 'take a mask per image, ip_mask: where in the picture it counts')
    .option(
      '--lora-scale <scale>',
      'how much of a FaceID adapter’s LoRA is merged into the weights (default 1)',
    )
    .addOption(
      new Option(
        '--weight-type <name>',
        'how the scale is distributed over the layers, as in ComfyUI',
      ).choices(WEIGHT_TYPES),
    )
    .option('--composition-weight <n>', 'of “…-and-composition”: the share of the composition (default 1)')
    .option('--boost <n>', 'of “…-precise”: the share of the layers pushed away from the image (default 1)')
    .addOption(
      new Option(
        '--embeds-scaling <mode>',
        'what the scale is applied to (default v: the attention’s result)',
      ).choices(EMBEDS_SCALINGS),
    )
    .option(
      '--pattern <pattern>',
      'which scopes to patch: a glob or /expression/ (repeatable; default **.attn2)',
      collect,
      [],
    )
    .option('--text-input <name>', 'the input with the text embeddings');
}

/** The options of a compilation that the flags say. @throws IpgraftError `OPTION_INVALID` */
export function graftOptionsOf(flags: GraftFlags): GraftOptions & Pick<CompileOptions, 'loraScale'> {
  return {
    tokens: flags.tokens,
    scale: flags.scale,
    ...(flags.images !== undefined && { images: flags.images.split(',').map(Number) }),
    masks: flags.masks === true,
    hoist: flags.hoist === true,
    ...weightTypeOf(flags),
    ...(flags.embedsScaling && { embedsScaling: flags.embedsScaling }),
    ...(flags.loraScale !== undefined && { loraScale: numberOf('--lora-scale', flags.loraScale) }),
    patterns: flags.pattern,
    ...(flags.textInput !== undefined && { textInput: flags.textInput }),
  };
}

function weightTypeOf({
  weightType,
  compositionWeight,
  boost,
}: GraftFlags): Pick<GraftOptions, 'weightType'> {
  const refuse = (option: string, types: string) =>
    new IpgraftError('OPTION_INVALID', `${option} goes with --weight-type ${types}`);
  if (compositionWeight !== undefined && !weightType?.endsWith('and-composition'))
    throw refuse('--composition-weight', '…-and-composition');
  if (boost !== undefined && !weightType?.endsWith('-precise')) throw refuse('--boost', '…-precise');
  if (weightType === undefined) return {};
  return {
    weightType: {
      name: weightType,
      ...(compositionWeight !== undefined && {
        composition: numberOf('--composition-weight', compositionWeight),
      }),
      ...(boost !== undefined && { boost: numberOf('--boost', boost) }),
    },
  };
}
