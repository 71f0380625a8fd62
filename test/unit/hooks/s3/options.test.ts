import assert from 'node:assert/strict'
import { test } from 'node:test'
import { S3_OPTIONS } from '../../../../src/hooks/s3/declared'
import { resolveUploadOptions } from '../../../../src/hooks/s3/options'
import { variableOf } from '../../../../src/monitor/declared'
import { readEnvironment } from '../../../../src/monitor/environment'

test('the defaults are those of the documentation', () => {
  assert.deepEqual(resolveUploadOptions({ bucket: 'evidence' }), {
    bucket: 'evidence',
    prefix: '',
    region: undefined,
    endpoint: undefined,
    forcePathStyle: false,
    credentials: undefined,
    template: '<prefix>/<host>/<pid>-<ms>-<name>',
    service: '',
    version: '',
    checksums: 'supported',
    sse: undefined,
    kmsKeyId: undefined,
    acl: undefined,
    deleteAfterUpload: false,
    maxBytes: 10 * 1024 ** 3,
    timeoutMs: 30_000,
    redact: false,
  })
  const own = resolveUploadOptions({ bucket: 'evidence', endpoint: 'http://minio:9000' })
  assert.deepEqual([own.region, own.forcePathStyle], ['us-east-1', true])
})

test('a wrong option is refused, with its name, the rule and the value, but never with a secret', () => {
  const cases: [object, RegExp][] = [
    [{}, /^TypeError: options\.bucket must be the name of a bucket; received undefined$/],
    [{ bucket: 5 }, /^TypeError: options\.bucket must be a text/],
    [
      { bucket: 'b', buckte: 1 },
      /^TypeError: options\.buckte is not an option; options takes bucket, prefix/,
    ],
    [{ bucket: 'b', prefix: 'a\nb' }, /^RangeError: options\.prefix must be a text of one line/],
    [{ bucket: 'b', endpoint: 'minio:9000' }, /^RangeError: options\.endpoint must be an http or https URL/],
    [{ bucket: 'b', key: '<host>' }, /^RangeError: options\.key must be a template .*without <name>/],
    [{ bucket: 'b', key: 'all/<name>' }, /^RangeError: options\.key must be a template .*without <host>/],
    [{ bucket: 'b', checksums: 'none' }, /^RangeError: options\.checksums must be 'supported' or 'required'/],
    [{ bucket: 'b', maxBytes: '5 apples' }, /^RangeError: options\.maxBytes must be/],
    [{ bucket: 'b', maxBytes: true }, /^TypeError: options\.maxBytes must be/],
    [{ bucket: 'b', timeout: 0 }, /^RangeError: options\.timeout must be/],
    [{ bucket: 'b', redact: 'yes' }, /^TypeError: options\.redact must be/],
  ]
  for (const [options, message] of cases)
    assert.throws(
      () => resolveUploadOptions(options),
      (error) => message.test(String(error)),
      String(message),
    )
  for (const wrong of [
    { credentials: { accessKeyId: 'A', secretAccessKey: { hidden: 's3cret' } } },
    { credentials: 'A:s3cret' },
    { credentials: ['A', 's3cret'] },
    { credentials: { 'AKIA/s3cret': 's3cret' } },
    { endpoint: 's3://A:s3cret@minio' },
    { endpoint: new URL('https://A:s3cret@minio') },
  ])
    assert.throws(
      () => resolveUploadOptions({ bucket: 'b', ...wrong }),
      (error) =>
        /^(Type|Range)Error: options\.(credentials|endpoint)/.test(String(error)) &&
        !/s3cret/.test(String(error)),
    )
})

test('each option has a variable, which means what the option means', () => {
  for (const { option, example, variable } of S3_OPTIONS) {
    const name = option.slice('s3.'.length)
    if (variable === 'none') continue
    const given: unknown[] = []
    const onDump = () => undefined
    const environment = { CMM_S3_BUCKET: 'evidence', [variableOf(option)]: example }
    const settings = readEnvironment(environment, undefined, () => (options) => (given.push(options), onDump))
    assert.equal(settings?.onDump, onDump)
    const value =
      /^(true|false|\d+)$/.test(example) && name !== 'bucket' ? (JSON.parse(example) as unknown) : example
    const expected = resolveUploadOptions({ bucket: 'evidence', [name]: value })
    assert.deepEqual(given.map(resolveUploadOptions), [expected], option)
  }
})

test('without a variable of S3 nothing of it is loaded', () => {
  const fail = () => assert.fail('it was loaded')
  assert.equal(readEnvironment({ CMM_CPU_COUNTER: '5' }, undefined, fail)?.onDump, undefined)
})

test('an error names the variable', () => {
  const load = () => (options: unknown) => {
    resolveUploadOptions(options)
    return () => undefined
  }
  const started = (environment: Record<string, string>) => () => readEnvironment(environment, undefined, load)
  assert.throws(
    started({ CMM_S3_PREFIX: 'a' }),
    /^Error: CMM_S3_BUCKET: options\.s3\.bucket must be the name/,
  )
  assert.throws(
    started({ CMM_S3_BUCKET: 'b', CMM_S3_TIMEOUT: '0' }),
    /^Error: CMM_S3_TIMEOUT: options\.s3\.timeout/,
  )
  assert.throws(started({ CMM_S3_BUKET: 'b' }), /^Error: CMM_S3_BUKET is not a variable/)
  assert.throws(started({ CMM_CONFIG: '{"s3": {"bucket": 5}}' }), /^Error: CMM_CONFIG: options\.s3\.bucket/)
})

test('an error about a missing package names the variables that asked for it, or the configuration', () => {
  const fail = (): never => {
    throw new Error(
      'cpu-memory-monitor/s3 needs packages that are not installed: @aws-sdk/client-s3. Run: npm install',
    )
  }
  const started = (environment: Record<string, string>) => () =>
    readEnvironment(environment, fail, () => fail)
  const needs = ': cpu-memory-monitor/s3 needs packages that are not installed: @aws-sdk/client-s3'
  const inConfig = { CMM_CONFIG: '{"s3":{"bucket":"evidence"}}' }
  assert.throws(started({ CMM_S3_BUCKET: 'evidence' }), { message: new RegExp(`^CMM_S3_\\*${needs}`) })
  assert.throws(started(inConfig), { message: new RegExp(`^CMM_CONFIG${needs}`) })
  assert.throws(started({ ...inConfig, CMM_CPU_COUNTER: '5' }), { message: /^CMM_CONFIG: / })
  assert.throws(started({ CMM_REDIS_SERVICE: 'shop' }), { message: /^CMM_REDIS_\*: / })
  assert.throws(started({ CMM_CONFIG: '{"redis":{}}' }), { message: /^CMM_CONFIG: / })
})
