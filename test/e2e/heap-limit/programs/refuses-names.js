// Preload: has names of dumps at the heap limit refused with ENOSPC, as ext4 does when others have filled a directory's index.
// CMM_TEST_REFUSES: `creation`: of new files; `final`: only of names that complete files are to get.
'use strict'
const fs = require('node:fs')

const { linkSync, openSync, renameSync } = fs
const isOurs = (path) => /heap-limit-memory-[^/]+$/.test(String(path))
const refuse = (syscall) => {
  throw Object.assign(new Error(`ENOSPC: no space left on device, ${syscall}`), { code: 'ENOSPC', syscall })
}
if (process.env.CMM_TEST_REFUSES === 'creation')
  fs.openSync = (path, flags, ...rest) =>
    (flags & fs.constants.O_CREAT) !== 0 && isOurs(path) ? refuse('open') : openSync(path, flags, ...rest)
else {
  fs.linkSync = (from, to) => (isOurs(to) ? refuse('link') : linkSync(from, to))
  fs.renameSync = (from, to) => (isOurs(to) ? refuse('rename') : renameSync(from, to))
}
