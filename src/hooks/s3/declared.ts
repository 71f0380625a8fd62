import type { DeclaredOption } from '../../monitor/declared'

/**
 * All options of `uploadTo`, which refuses any other. The group `s3` gives their environment variables the prefix `CMM_S3_`.
 */
export const S3_OPTIONS: readonly DeclaredOption[] = [
  { option: 's3.bucket', variable: 'text', example: 'evidence' },
  { option: 's3.prefix', variable: 'text', example: 'shop' },
  { option: 's3.region', variable: 'text', example: 'eu-central-1' },
  { option: 's3.endpoint', variable: 'text', example: 'https://minio.example.com:9000' },
  { option: 's3.forcePathStyle', variable: 'value', example: 'true' },
  { option: 's3.credentials', variable: 'none', example: '' },
  { option: 's3.key', variable: 'text', example: '<prefix>/<host>/<name>' },
  { option: 's3.service', variable: 'text', example: 'shop' },
  { option: 's3.version', variable: 'text', example: '2026.11.3' },
  { option: 's3.checksums', variable: 'text', example: 'required' },
  { option: 's3.sse', variable: 'text', example: 'aws:kms' },
  { option: 's3.kmsKeyId', variable: 'text', example: 'alias/evidence' },
  { option: 's3.acl', variable: 'text', example: 'bucket-owner-full-control' },
  { option: 's3.deleteAfterUpload', variable: 'value', example: 'true' },
  { option: 's3.maxBytes', variable: 'value', example: '2gb' },
  { option: 's3.timeout', variable: 'value', example: '10000' },
  { option: 's3.redact', variable: 'value', example: 'true' },
]
