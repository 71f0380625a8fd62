// Rules of all sorts: a metric of the application, one of the process, one that never trips, and one that fails.
const { obey, start } = require('./stage')

const often = { interval: 100, limiter: [1, 'day'] }

start({
  rules: [
    { ...often, name: 'queue', metric: () => 1500, threshold: 1000, counter: 2, dump: 'cpu' },
    { ...often, name: 'orders', metric: async () => 7, threshold: 5, dump: 'memory' },
    { ...often, name: 'heap-high', metric: 'heap', threshold: '0.01%', dump: 'memory' },
    { ...often, name: 'calm', metric: () => 1000, threshold: 1000, dump: 'cpu' },
    { ...often, name: 'broken', metric: () => JSON.parse('{'), threshold: 1, dump: 'cpu' },
  ],
})
obey({})
