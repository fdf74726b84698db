import * as z from 'zod/mini';
import { DATATYPE_SIZE, type Datatype } from '../tensor.js';
import { kindOf, quoted, refusal } from './refuse.js';

/** What a parameter of a request, an input or an output may be. */
export type Parameter = string | number | boolean;

const parameters = z.nullish(z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])));

/** The fields of an infer request. Objects are open: clients add fields of their own. */
export const inferRequest = z.object({
  id: z.nullish(z.string()),
  parameters,
  inputs: z.array(
    z.object({
      name: z.string(),
      datatype: z.enum(Object.keys(DATATYPE_SIZE) as Datatype[]),
      shape: z.array(z.number()),
      parameters,
      data: z.optional(z.unknown()),
    }),
  ),
  outputs: z.nullish(z.array(z.object({ name: z.string(), parameters }))),
});

/** The JSON of an infer request, its fields of the types that the protocol gives them. */
export type RequestJson = z.infer<typeof inferRequest>;

/** Checks the fields of an infer request. @throws IpgraftError `SERVER_REQUEST`, with the way to the field and what was sought there */
export function checkRequest(value: unknown): RequestJson {
  const { success, data, error } = inferRequest.safeParse(value);
  if (success) return data;
  const { path, ...issue } = error.issues[0]!;
  const sought =
    issue.code === 'invalid_type'
      ? issue.expected
      : issue.code === 'invalid_value'
        ? `one of ${issue.values.join(', ')}`
        : 'string, number or boolean';
  throw refusal(`${wayTo(path)}: sought ${sought}, found ${shown(found(value, path))}`);
}

function wayTo(path: readonly PropertyKey[]): string {
  const way = path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key).slice(0, 100)}`))
    .join('');
  return way === '' ? 'the request' : way.replace(/^\./, '');
}

function found(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value);
}

function shown(value: unknown): string {
  return typeof value === 'string' ? quoted(value) : kindOf(value);
}

/** Parameters by name; a Map, because names are the client's. */
export function parametersOf(given: RequestJson['parameters']): ReadonlyMap<string, Parameter> {
  return new Map(Object.entries(given ?? {}));
}
