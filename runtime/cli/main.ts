#!/usr/bin/env node
import { run } from './run.js';

// Whoever reads the output may stop early (`| head`): the work goes on, and ends with its own exit code.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

void run(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
