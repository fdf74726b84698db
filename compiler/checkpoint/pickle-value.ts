import type { CheckpointDtype } from './checkpoint.js';

/**
 * What a pickle can make here: inert data. None of these can be called, none takes a property whose name comes
 * from the file, and dictionaries are `Map`s, so there is no prototype to reach.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleTuple
  | PickleList
  | PickleDict
  | PickleGlobal
  | PickledStorage
  | PickledTensor;

export interface PickleTuple {
  readonly kind: 'tuple';
  readonly items: readonly PickleValue[];
}

export interface PickleList {
  readonly kind: 'list';
  readonly items: PickleValue[];
}

/** A `dict` or an `OrderedDict`. Keys that are not strings or numbers are compared by identity. */
export interface PickleDict {
  readonly kind: 'dict';
  readonly items: Map<PickleValue, PickleValue>;
}

/** A name from the allow-list: `torch._utils._rebuild_tensor_v2`. Only a name; nothing stands behind it. */
export interface PickleGlobal {
  readonly kind: 'global';
  readonly name: string;
}

/** Bytes that tensors look into: the archive's entry `data/<key>`. */
export interface PickledStorage {
  readonly kind: 'storage';
  readonly key: string;
  /** Bytes of the storage. A safe integer. */
  readonly byteLength: number;
  /** Undefined for an untyped storage, which leaves the type to the tensor. */
  readonly dtype: CheckpointDtype | undefined;
}

/** A view of a storage. Offset and strides count elements. All numbers are checked against the storage. */
export interface PickledTensor {
  readonly kind: 'tensor';
  readonly storage: PickledStorage;
  readonly dtype: CheckpointDtype;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
}

/** For messages: what a value is. */
export function describe(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (typeof value === 'object') return value.kind === 'global' ? value.name : `a ${value.kind}`;
  return `a ${typeof value}`;
}
