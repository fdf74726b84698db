import type { FastifyReply } from 'fastify';
import { openAiError } from './images/openai-error.js';
import { sendJson } from './send.js';
import type { Answer } from './status.js';

/** Answers with an error, in the form that the route's clients know. */
export function sendError(reply: FastifyReply, answer: Answer, error?: unknown): FastifyReply {
  const isOpenAi = reply.request.routeOptions.config.dialect === 'openai';
  return sendJson(reply, isOpenAi ? openAiError(answer, error) : { error: answer.text }, answer.status);
}
