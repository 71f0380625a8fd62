// Tasks of a pool that never end: one uses the CPU, the other memory.
import { setTimeout as pause } from 'node:timers/promises'

const MOST_PAGES = 12_000

function resizeImage() {
  let sum = 0
  for (let at = 0; at < 1e6; at++) sum += Math.sqrt(at)
  return sum
}

export function hot() {
  for (;;) resizeImage()
}

class CachedPage {
  constructor(number) {
    this.text = Buffer.alloc(50_000, 97 + (number % 20)).toString('latin1')
  }
}

export async function leaking() {
  const pages = []
  while (pages.length < MOST_PAGES) {
    for (let count = 0; count < 20; count++) pages.push(new CachedPage(pages.length))
    await pause(20)
  }
  await pause(2 ** 30)
  return pages.length
}
