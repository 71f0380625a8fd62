// Classifies errors of S3, and computes when to try again.

import { firstLineOf } from '../../base/globals'

/**
 * Why no file can be uploaded now. `away`: S3 does not answer, or is busy. `refused`: S3 rejects the upload, or credentials or
 * the region are missing, which usually a person must change. The upload is tried again in both cases.
 */
export interface Verdict {
  readonly kind: 'away' | 'refused'
  /** Text for the operator, with what to do where that is known. */
  readonly message: string
}

export const FIRST_DELAY_MS = 5000
export const LONGEST_DELAY_MS = 300_000

/**
 * Returns the time until the next attempt, ms. It doubles after each failure up to {@link LONGEST_DELAY_MS}. A random part, up to
 * half of it, is left out, because all processes of a service lose S3 at the same moment.
 *
 * @param failures - Attempts that failed in a row, at least 1.
 * @param random - A random number from 0 to 1. With 1 nothing is left out.
 */
export function delayMs(failures: number, random: number): number {
  const fullMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 16))
  return Math.round(fullMs * (0.5 + random / 2))
}

const REJECTED_KEYS = ['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'ExpiredToken', 'InvalidToken']
const OTHER_REGION = [
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
]
/** HTTP status codes 4xx that mean a busy server or a timeout, so that a later attempt may succeed. */
const PASSING = [408, 425, 429]
/** HTTP status codes that reject the bucket, the method or the login, and so affect every object. */
const OF_ALL = [401, 403, 404, 405, 407, 409]
/** Names of S3 errors that affect every object: they reject the login, the region, the connection or the user's options. */
const NAMES_OF_ALL = [
  ...REJECTED_KEYS,
  ...OTHER_REGION,
  ...['RequestTimeout', 'IncompleteBody', 'BadDigest', 'XAmzContentSHA256Mismatch'],
  ...[
    'InvalidBucketName',
    'AccessControlListNotSupported',
    'MalformedACLError',
    'InvalidEncryptionAlgorithmError',
  ],
]

export function judge(error: unknown, bucket: string): Verdict {
  const { name, code, status } = factsOf(error)
  const message = firstLineOf(error)
  const refused = (text: string): Verdict => ({ kind: 'refused', message: text })
  if (name === 'NoSuchBucket')
    return refused(`the bucket ${bucket} does not exist: create it, or correct \`bucket\``)
  if (REJECTED_KEYS.includes(name))
    return refused(`the credentials are not accepted (${name}): renew or correct them`)
  if (name === 'RequestTimeTooSkewed')
    return refused(`the clock of this machine differs too much from the clock of S3 (${name}): correct it`)
  if (name === 'CredentialsProviderError')
    return refused(
      'no credentials were found: give the process an IAM role, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set `credentials`',
    )
  if (isElsewhere(name, message) || status === 301)
    return refused(
      `the bucket ${bucket} is in another region, or behind another address (${name}): correct \`region\`, or \`endpoint\` if it is set`,
    )
  if (message === 'Region is missing') return refused('the region is not known: set `region` or AWS_REGION')
  if (status === 403)
    return refused(
      `access to the bucket ${bucket} is denied (${name}): allow these credentials s3:PutObject and, with KMS encryption, the use of the KMS key`,
    )
  if (isRefusal(status)) return refused(`S3 rejects the upload (${status} ${name}): ${message}`)
  if (name === 'AbortError') return { kind: 'away', message: 'the upload did not end within an hour' }
  return { kind: 'away', message: `S3 does not answer or is busy (${status ?? code ?? name}): ${message}` }
}

/**
 * Whether S3 says that the bucket is not at the place that was asked. It answers a malformed key with the same code, in a message that
 * names the form of a key, `…/REGION/SERVICE/…`; Garage calls a wrong region an unexpected scope.
 */
function isElsewhere(name: string, message: string): boolean {
  return (
    OTHER_REGION.includes(name) &&
    (name !== 'AuthorizationHeaderMalformed' || /\bregion\b.*\bwrong\b|unexpected scope/i.test(message))
  )
}

function isRefusal(status: number | undefined): status is number {
  return status !== undefined && status >= 400 && status < 500 && !PASSING.includes(status)
}

/**
 * Whether an error of a PUT may concern this object alone: S3 or a proxy finds it too large, or the upload takes too long. Do not
 * use it for a HEAD, whose response names no reason: an expired token is only a 400 there.
 */
export function isOfOne(error: unknown): boolean {
  const { name, status } = factsOf(error)
  if (name === 'AbortError') return true
  return (
    isRefusal(status) && !OF_ALL.includes(status) && !NAMES_OF_ALL.includes(name) && !name.startsWith('KMS.')
  )
}

/** Whether a failed HEAD may mean that the key does not exist: without the permission to list keys, S3 answers 403, not 404. */
export function isUnknownKey(error: unknown): boolean {
  const { status } = factsOf(error)
  return status === 404 || status === 403
}

interface Facts {
  readonly name: string
  readonly code: string | undefined
  readonly status: number | undefined
}

function factsOf(error: unknown): Facts {
  const { name, code, $metadata, $response } = Object(error) as Record<string, unknown>
  // `$response` has the status when the response is not XML, such as a proxy's.
  const { statusCode } = Object($response) as Record<string, unknown>
  const { httpStatusCode = statusCode } = Object($metadata) as Record<string, unknown>
  return {
    name: typeof name === 'string' ? name : 'unknown error',
    code: typeof code === 'string' ? code : undefined,
    status: typeof httpStatusCode === 'number' ? httpStatusCode : undefined,
  }
}
