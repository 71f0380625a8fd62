'use strict'
/** The original's check, for peers that have none: above the limit a worker leaves, and 5 s later it ends itself. */
exports.whenOver = (leave) => {
  const timer = setInterval(() => {
    if (process.memoryUsage.rss() <= Number(process.env.LIMIT_BYTES)) return
    clearInterval(timer)
    setTimeout(() => process.exit(1), 5000).unref()
    leave()
  }, Number(process.env.CHECK_INTERVAL))
}
