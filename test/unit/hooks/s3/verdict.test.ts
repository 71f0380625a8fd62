import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  delayMs,
  FIRST_DELAY_MS,
  isOfOne,
  isUnknownKey,
  judge,
  LONGEST_DELAY_MS,
} from '../../../../src/hooks/s3/verdict'

const answered = (name: string, httpStatusCode: number, message = 'no') =>
  Object.assign(new Error(message), { name, $metadata: { httpStatusCode } })

test('what only a person can change is refused, with what to do', () => {
  const cases: [unknown, RegExp][] = [
    [answered('NoSuchBucket', 404), /^the bucket b does not exist: create it, or correct `bucket`$/],
    [answered('AccessDenied', 403), /is denied \(AccessDenied\): allow these credentials s3:PutObject/],
    [answered('SignatureDoesNotMatch', 403), /^the credentials are not accepted/],
    [answered('ExpiredToken', 400), /^the credentials are not accepted/],
    [answered('RequestTimeTooSkewed', 403), /^the clock of this machine/],
    [answered('PermanentRedirect', 301), /another region.*correct `region`, or `endpoint` if it is set$/],
    [
      answered('AuthorizationHeaderMalformed', 400, "the region 'us-east-1' is wrong; expecting 'eu-west-1'"),
      /another region/,
    ],
    [
      answered('AuthorizationHeaderMalformed', 400, "unexpected scope: '1/us-east-1/s3/aws4_request'"),
      /another region/,
    ],
    [
      answered(
        'AuthorizationHeaderMalformed',
        400,
        'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request"',
      ),
      /^S3 rejects the upload \(400 AuthorizationHeaderMalformed\): expecting/,
    ],
    [answered('EntityTooLarge', 400), /^S3 rejects the upload \(400 EntityTooLarge\): no$/],
    [new Error('Region is missing'), /^the region is not known: set `region` or AWS_REGION$/],
    [Object.assign(new Error('none'), { name: 'CredentialsProviderError' }), /^no credentials were found/],
  ]
  for (const [error, message] of cases) {
    const verdict = judge(error, 'b')
    assert.equal(verdict.kind, 'refused', String(message))
    assert.match(verdict.message, message)
  }
})

test('what passes by itself is no refusal', () => {
  const away = [
    answered('InternalError', 500),
    answered('SlowDown', 503),
    answered('TooManyRequests', 429),
    answered('RequestTimeout', 408),
    Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' }),
    Object.assign(new Error('late'), { code: 'ETIMEDOUT' }),
    'a text',
    undefined,
  ]
  for (const error of away) {
    const { kind, message } = judge(error, 'b')
    assert.equal(kind, 'away', message)
    assert.match(message, /^S3 does not answer or is busy \([^)]+\): ./)
  }
})

test('each attempt waits twice as long as the one before, up to five minutes, and not as long as that of another process', () => {
  assert.deepEqual([FIRST_DELAY_MS, LONGEST_DELAY_MS], [5000, 300_000])
  assert.deepEqual(
    [1, 2, 3, 7, 8, 5000].map((failures) => delayMs(failures, 1)),
    [5000, 10_000, 20_000, 300_000, 300_000, 300_000],
  )
  assert.equal(delayMs(1, 0), 2500)
})

test('a key that cannot be looked at counts as not there', () => {
  assert.ok(isUnknownKey(answered('NotFound', 404)))
  assert.ok(isUnknownKey(answered('Unknown', 403)))
  assert.ok(!isUnknownKey(answered('InternalError', 500)))
  assert.ok(!isUnknownKey(new Error('socket hang up')))
})

test('an object that is too large, or takes too long, is refused alone; a login, a place or a key of KMS is not', () => {
  const ofOne = [
    answered('EntityTooLarge', 400),
    answered('MetadataTooLarge', 400),
    answered('SyntaxError', 413),
    // Of an SDK that does not note the status of an answer that it cannot read.
    Object.assign(new Error('<'), { name: 'SyntaxError', $response: { statusCode: 413 } }),
    Object.assign(new Error('Upload aborted.'), { name: 'AbortError' }),
  ]
  const ofAll = [
    ...[answered('NoSuchBucket', 404), answered('AccessDenied', 403), answered('Unauthorized', 401)],
    ...[answered('ExpiredToken', 400), answered('AuthorizationHeaderMalformed', 400)],
    ...[answered('KMS.NotFoundException', 400), answered('AccessControlListNotSupported', 400)],
    ...[answered('RequestTimeout', 400), answered('TooManyRequests', 429), answered('MethodNotAllowed', 405)],
    ...[answered('InternalError', 500), new Error('socket hang up'), undefined],
  ]
  for (const error of ofOne) assert.ok(isOfOne(error), String(error))
  for (const error of ofAll) assert.ok(!isOfOne(error), String(error))
})
