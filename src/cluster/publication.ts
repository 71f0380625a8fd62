import type { ClusterNews } from '../core/cluster-events'
import type { ClusterEvents, WorkerIdentity } from './handle'

/** An event of the handle, with its name. */
export type Publication = {
  [Name in keyof ClusterEvents]: { readonly name: Name; readonly event: ClusterEvents[Name][0] }
}[keyof ClusterEvents]

/** Puts what the reconciler tells into the words of the public events, times in whole ms. */
export function toPublication(news: ClusterNews, who: WorkerIdentity, limitBytes: number): Publication {
  switch (news.name) {
    case 'ready':
      return { name: news.name, event: { ...who, rss: news.rssBytes } }
    case 'over':
    case 'limit-unreachable':
      return { name: news.name, event: { ...who, rss: news.rssBytes, limit: limitBytes } }
    case 'recycle':
      return { name: news.name, event: { ...who, rss: news.rssBytes, reason: news.reason } }
    case 'recycled': {
      const { reason, code, signal } = news
      return {
        name: news.name,
        event: { ...who, rss: news.rssBytes, reason, ms: Math.round(news.durationMs), code, signal },
      }
    }
    case 'crash': {
      const { cause, code, signal, missing } = news
      // Up, so that only what was never ready has none.
      return {
        name: news.name,
        event: { ...who, cause, code, signal, uptime: Math.ceil(news.uptimeMs), missing },
      }
    }
    case 'backoff':
      return { name: news.name, event: { ms: Math.round(news.delayMs), step: news.step } }
    case 'thrash': {
      const [lifetime, ms] = [Math.round(news.lifetimeMs), Math.round(news.delayMs)]
      return { name: news.name, event: { ...who, lifetime, ms } }
    }
  }
}
