import { rangeError, readBoolean, readMs, readObject, readSize, typeError } from '../../options/read'
import { S3_OPTIONS } from './declared'
import { DEFAULT_KEY, whyNoTemplate } from './key'

/** Where dump files are uploaded, and how. */
export interface UploadOptions {
  /** Name of the bucket, which must exist. */
  bucket: string
  /** Value of `<prefix>`, with which each key begins by default; may contain `/`. @defaultValue '' */
  prefix?: string | undefined
  /**
   * Region of the bucket. @defaultValue the region set in the environment, such as `AWS_REGION`; with `endpoint` `'us-east-1'`
   */
  region?: string | undefined
  /** URL of an S3-compatible store that is not Amazon's. @defaultValue Amazon S3 */
  endpoint?: string | undefined
  /** Put the bucket's name into the URL's path instead of the host name. @defaultValue `true` with `endpoint`, else `false` */
  forcePathStyle?: boolean | undefined
  /** Credentials for S3. @defaultValue those that the AWS SDK finds: environment, IAM role, configuration files */
  credentials?: UploadCredentials | undefined
  /**
   * Template of the S3 keys. It must contain `<host>` and `<name>`, so that any two files differ, and may contain `<prefix>`,
   * `<service>`, `<kind>`, `<rule>`, `<pid>` and `<ms>`. The key of a dump file ends with `.gz`, that of its description with
   * `.json`.
   *
   * @defaultValue '<prefix>/<host>/<pid>-<ms>-<name>'
   */
  key?: string | undefined
  /** Name of the service, for the metadata of each object and for `<service>` in `key`. @defaultValue '' */
  service?: string | undefined
  /** Version of the service, for the metadata of each object. @defaultValue '' */
  version?: string | undefined
  /**
   * Which requests have checksums. `'supported'`: all of them, the SDK's default. `'required'`: only those for which S3 requires
   * checksums, for stores that reject the others.
   *
   * @defaultValue 'supported'
   */
  checksums?: 'supported' | 'required' | undefined
  /** Encryption at rest, as S3 names it: `'AES256'`, `'aws:kms'`. @defaultValue the bucket's setting */
  sse?: string | undefined
  /** KMS key for `sse: 'aws:kms'`. @defaultValue the bucket's setting */
  kmsKeyId?: string | undefined
  /** Canned ACL of each object. @defaultValue none */
  acl?: string | undefined
  /**
   * Delete each dump file and its `.json` from the disk when both are in the bucket. A dump at V8's heap limit is deleted only
   * after a later process has reported it as well, and its `.json` stays. `false`: nothing is deleted after its upload.
   *
   * @defaultValue false
   */
  deleteAfterUpload?: boolean | undefined
  /**
   * Maximum total size, per directory, of dumps that cannot be uploaded, because uploads fail or S3 refuses them: bytes, a size
   * such as `'10gb'`, or `false` for no limit. Above it the oldest dumps are deleted, but never manual dumps or the newest one.
   *
   * @defaultValue '10gb'
   */
  maxBytes?: number | string | false | undefined
  /**
   * Time without a byte from or to S3 after which a request fails, ms: a whole number from 1 to 2147483647. @defaultValue 30000
   */
  timeout?: number | undefined
  /**
   * Upload heap snapshots without the contents of strings, numbers and regular expressions, and profiles without queries and
   * credentials of URLs and without `data:` URLs. The files on disk are not redacted.
   *
   * @defaultValue false
   */
  redact?: boolean | undefined
}

/** A key pair of S3. */
export interface UploadCredentials {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string | undefined
}

/** The options after validation, with defaults filled in. Plain data, because they are sent to a thread. */
export interface UploadSettings {
  readonly bucket: string
  readonly prefix: string
  readonly region: string | undefined
  readonly endpoint: string | undefined
  readonly forcePathStyle: boolean
  readonly credentials: Readonly<UploadCredentials> | undefined
  readonly template: string
  readonly service: string
  readonly version: string
  readonly checksums: 'supported' | 'required'
  readonly sse: string | undefined
  readonly kmsKeyId: string | undefined
  readonly acl: string | undefined
  readonly deleteAfterUpload: boolean
  /** `Infinity`: no limit. */
  readonly maxBytes: number
  readonly timeoutMs: number
  readonly redact: boolean
}

export const DEFAULT_MAX_BYTES = '10gb'
export const DEFAULT_TIMEOUT_MS = 30_000
/** Region that is used with `endpoint` if none is set. The SDK needs one, but most S3-compatible stores have no regions. */
const ANY_REGION = 'us-east-1'

/**
 * Validates the user's options and fills in defaults.
 *
 * @throws TypeError, RangeError - which name the option, what was expected, and, if it cannot be a secret, the value received.
 */
export function resolveUploadOptions(options: unknown): UploadSettings {
  const names = S3_OPTIONS.map(({ option }) => option.split('.')[1] ?? '')
  const given = readObject(options, 'options', names)
  const text = (name: string) => readText(given[name], `options.${name}`)
  const bucket = text('bucket')
  if (bucket === undefined) throw typeError('options.bucket', 'the name of a bucket', undefined)
  const endpoint = readEndpoint(text('endpoint'))
  return Object.freeze<UploadSettings>({
    bucket,
    prefix: text('prefix') ?? '',
    region: text('region') ?? (endpoint === undefined ? undefined : ANY_REGION),
    endpoint,
    forcePathStyle: readBoolean(given['forcePathStyle'], 'options.forcePathStyle', endpoint !== undefined),
    credentials: readCredentials(given['credentials']),
    template: readTemplate(text('key')),
    service: text('service') ?? '',
    version: text('version') ?? '',
    checksums: readChecksums(given['checksums']),
    sse: text('sse'),
    kmsKeyId: text('kmsKeyId'),
    acl: text('acl'),
    deleteAfterUpload: readBoolean(given['deleteAfterUpload'], 'options.deleteAfterUpload', false),
    maxBytes: readMaxBytes(given['maxBytes']),
    timeoutMs: readMs(given['timeout'], 'options.timeout', DEFAULT_TIMEOUT_MS),
    redact: readBoolean(given['redact'], 'options.redact', false),
  })
}

function readText(value: unknown, name: string): string | undefined {
  if (value === undefined) return undefined
  const expected = 'a text of one line, not empty'
  if (typeof value !== 'string') throw typeError(name, expected, value)
  // eslint-disable-next-line no-control-regex -- control characters are what this check refuses
  if (value === '' || /[\x00-\x1f\x7f]/.test(value)) throw rangeError(name, expected, value)
  return value
}

function readEndpoint(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const expected = "an http or https URL such as 'https://minio.example.com:9000'"
  const protocol = URL.canParse(text) ? new URL(text).protocol : undefined
  if (protocol !== 'http:' && protocol !== 'https:') throw rangeError('options.endpoint', expected, text)
  return text
}

/** Validates credentials. Its errors do not contain the value, which is a secret. */
function readCredentials(value: unknown): UploadSettings['credentials'] {
  if (value === undefined) return undefined
  const name = 'options.credentials'
  const given = readObject(value, name, ['accessKeyId', 'secretAccessKey', 'sessionToken'])
  const { accessKeyId, secretAccessKey, sessionToken } = given
  const isText = (part: unknown): part is string => typeof part === 'string' && part !== ''
  if (
    !isText(accessKeyId) ||
    !isText(secretAccessKey) ||
    !(sessionToken === undefined || isText(sessionToken))
  )
    throw new TypeError(
      `${name} must have the texts accessKeyId and secretAccessKey, and may have sessionToken`,
    )
  return { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) }
}

function readTemplate(template: string = DEFAULT_KEY): string {
  const why = whyNoTemplate(template)
  if (why !== undefined)
    throw rangeError('options.key', `a template such as '${DEFAULT_KEY}' (${why})`, template)
  return template
}

function readChecksums(value: unknown = 'supported'): UploadSettings['checksums'] {
  if (value === 'supported' || value === 'required') return value
  const wrong = typeof value === 'string' ? rangeError : typeError
  throw wrong('options.checksums', "'supported' or 'required'", value)
}

function readMaxBytes(value: unknown = DEFAULT_MAX_BYTES): number {
  const name = 'options.maxBytes'
  const expected = "a number of bytes, at least 0, a size such as '10gb', or false"
  if (value === false) return Infinity
  return readSize(value, name, expected)
}
