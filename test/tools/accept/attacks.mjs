// Every attack that was ever tried, as a real second user where it needs one, on every supported Node. Each race is run 200 times,
// over all ways of writing a file together. A line for each row of the table on stderr; it fails when one round is lost, and when a row
// was not tried at all. CMM_NODES (20,22,24,26), CMM_ATTACK_ROUNDS (200). Needs root, useradd and a C compiler.
//
// The tests are in test/e2e/attacks, and the title of each begins with its row:
//   races (200 rounds)  F2, F3, F4, F5, H1           names (F9 and F10: 200 rounds)  F2, F9, F10, F17
//   code-loading        F1, F12, F13, F20, F22, H23  clock                           F14, H12
//   messages            F6, F7                       crowds                          F11, F21, F23
//   signals             F8, F15, F16                 globals                         F18, F19, H18, H19
//   process-limit       H8
//   what-holds                  H2, H4, H5, H6, H7, H9, H15, H17, H21, H24; and H3, H10, H11, H13, H14, H16, H20, H22, H25, for
//                               which it runs the tests elsewhere that hold them
// F14 is run 20 times, with a busy process for each processor.
import { onEachNode } from './programs/on-each-node.mjs'

onEachNode('attacks-here.mjs')
