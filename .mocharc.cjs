const { availableParallelism } = require('node:os');

// Most of a test's time goes into loading models, which is the work of one core.
module.exports = {
  spec: ['dist/test/**/*.test.js'],
  reporter: 'dist/test/reporter.js',
  timeout: 300_000,
  slow: 5000,
  parallel: true,
  jobs: Math.min(4, Math.max(2, availableParallelism())),
  'node-option': ['enable-source-maps', 'no-warnings'],
};
