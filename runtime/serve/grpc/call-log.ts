import type { RequestLog } from '../request-log.js';

/** The log of the server, which gives each call one of its own. */
export interface CallLog extends RequestLog {
  child(about: { readonly reqId: string }): RequestLog;
}
