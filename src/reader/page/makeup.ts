import type { Circumstances } from '../model'
import { formatBytes, formatPercent, printable } from '../units'
import type { Html } from './html'
import { html } from './html'

interface Bar {
  readonly name: string
  readonly amount: string
  readonly value: number
}

const WHOLE_CORE_PERCENT = 100

/** CPU by thread, and memory by owner (such as V8's heap, buffers and worker threads), each as a table with bars. */
export function drawMakeup({ threads, memory }: Circumstances): Html[] {
  return [
    ...bars(
      'CPU by thread, percent of a core',
      'Thread',
      threads.map(({ name, percent }) => ({ name, amount: formatPercent(percent), value: percent })),
      WHOLE_CORE_PERCENT,
    ),
    ...bars(
      'Resident memory by owner',
      'Owner',
      memory.map(({ name, bytes }) => ({ name, amount: formatBytes(bytes), value: bytes })),
    ),
  ]
}

/** A table with a bar per row. A bar of full width stands for the largest amount, or for `atLeast` if that is larger. */
function bars(title: string, name: string, rows: readonly Bar[], atLeast = 0): Html[] {
  if (rows.length === 0) return []
  const most = Math.max(atLeast, ...rows.map(({ value }) => value))
  return [
    html`<h3>${title}</h3>
      <div class="table" tabindex="0" role="region" aria-label="${title}">
        <table>
          <thead>
            <tr>
              <th scope="col" class="short">${name}</th>
              <th scope="col" class="number">Amount</th>
              <td class="bar"></td>
            </tr>
          </thead>
          <tbody>
            ${rows.map(
              (row) =>
                html`<tr>
                  <td class="short">${printable(row.name)}</td>
                  <td class="number">${row.amount}</td>
                  <td class="bar">
                    <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                      <rect width="${((row.value / most) * 100).toFixed(1)}" height="10" />
                    </svg>
                  </td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`,
  ]
}
