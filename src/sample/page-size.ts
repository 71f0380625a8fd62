const SMALLEST_PAGE_BYTES = 4096
const LARGEST_PAGE_BYTES = 65_536

/**
 * Tells the kernel's page size from one resident set known in bytes and in pages. Node has no call for it, and 4096 is
 * wrong by a factor of 16 on some arm64 and ppc64 kernels. The two readings need not be of the same moment: pages are
 * powers of two, so a resident set that moves by a third between them still gives the right answer.
 *
 * @returns Bytes per page, or `undefined` when the two do not tell of the same process.
 */
export function pageSizeBytes(rssBytes: number, residentPages: number): number | undefined {
  const nearest = 2 ** Math.round(Math.log2(rssBytes / residentPages))
  return nearest >= SMALLEST_PAGE_BYTES && nearest <= LARGEST_PAGE_BYTES ? nearest : undefined
}
