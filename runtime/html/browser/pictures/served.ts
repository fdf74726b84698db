import type { describePipeline } from '../../../serve/pictures/describe-pipeline.js';
import { askFor } from '../serve/ask-for.js';

/** A pipeline that the server has, with what it can do. */
export type ServedPipeline = ReturnType<typeof describePipeline>['pipeline'];
/** One adapter of it. */
export type ServedAdapter = ServedPipeline['adapters'][number];

/** Pipelines by name. Fails as {@link askFor} does. */
export async function askPipelines(token: string | undefined): Promise<ReadonlyMap<string, ServedPipeline>> {
  const { data } = await (await askFor('v1/models', token)).json();
  return new Map(data.map(({ id, pipeline }: { id: string; pipeline: ServedPipeline }) => [id, pipeline]));
}
