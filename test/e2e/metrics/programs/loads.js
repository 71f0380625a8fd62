// Which optional packages the monitor loads: node loads.js
require('../../../../dist/index.js')({ cpu: {}, memory: {}, logger: false })
const loads = () =>
  Object.keys(require.cache).filter((file) => /@opentelemetry|prom-client/.test(file)).length
const before = loads()
const { register } = require('../../../../dist/hooks/metrics/index.js')
const withTheEntry = loads()
register({ stats: () => ({ workers: [] }) }, new (require('prom-client').Registry)())
console.log(JSON.stringify({ before, withTheEntry, withRegister: loads() > 0 }))
