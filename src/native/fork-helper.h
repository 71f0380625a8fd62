/*
 * The fork helper takes a heap snapshot of a running Node.js process by forking it: the child writes the snapshot from its
 * frozen copy of the heap while the application goes on.
 *
 * V8 is not made to be forked. Each obstacle has a file:
 *
 *   mappings.c     V8 excludes its heap from every fork. It has to be included before the fork, and excluded again after it.
 *   fork.c         The parent's side: steps before fork(2), and their reversal after it.
 *   lone-thread.c  Only the forking thread exists in the child. A wait for another thread would never end.
 *   relocations.c  How the child's calls are redirected: a walk over the relocation tables of all loaded objects.
 *   child.c        The child is a copy of a server: its sockets, files, shared memory, signal handlers and place in the memory
 *                  limit have to go.
 *   heap-limit.c   The fork of a process that V8 is about to end because its heap is full.
 *   threads.c      Node.js and V8 end a process that cannot start a thread: this tries beforehand whether it can.
 *   gc-time.c      No part of a fork: the main thread's CPU time in garbage collections.
 *   addon.c        The functions for JavaScript.
 *
 * Linux only, 64 bit, glibc or musl.
 */
#ifndef FORK_HELPER_H
#define FORK_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Exit codes of a child that did not finish its job; from sysexits.h where one fits. */
enum child_exit {
  /* The job threw, or its result did not fit into RESULT_CAPACITY_BYTES. */
  CHILD_EXIT_JOB_FAILED = 70,
  /* The child could not be cut off from the application, so it ended before the job. */
  CHILD_EXIT_NOT_DETACHED = 71,
  /* The child needed a thread that was not forked. Another fork, at another moment, may succeed. */
  CHILD_EXIT_WAITED_FOR_THREAD = 75
};

/*
 * Longest result of the job, bytes. The child sends it through a pipe, which the parent reads when the child has closed
 * it. A pipe takes 65536 bytes before the writer has to wait, so the child never waits.
 */
#define RESULT_CAPACITY_BYTES 4096

/* ---- mappings.c ------------------------------------------------------------------------------------------------- */

struct mapping {
  uintptr_t start;
  size_t length;
};

struct mapping_list {
  struct mapping *items;
  size_t count;
  size_t capacity;
};

/*
 * Lists the mappings that fork(2) would leave out, for the next fork. From any thread, best not the one that forks,
 * because it takes as long as the fork. Returns 0, or an errno.
 */
int mappings_survey(void);

/*
 * From now on fork(2) copies all private memory. Lists the mappings to exclude again afterwards, by the latest survey; makes a
 * survey now if there is none since the last fork. Also lists the mappings that the child would share with this process and
 * could write to. Returns 0, or an errno and nothing changed.
 */
int mappings_let_in(struct mapping_list *marked, struct mapping_list *shared);

/* From now on fork(2) excludes these mappings, as V8 had marked them. */
void mappings_leave_out(const struct mapping_list *marked);

void mappings_free(struct mapping_list *list);

/* ---- relocations.c ---------------------------------------------------------------------------------------------- */

/* A function of another object, and what to call instead. */
struct replacement {
  const char *name;
  void *function;
};

/* A pointer through which a function is called, and its new value. */
struct call_slot {
  void **address;
  void *replacement;
};

struct call_slot_list {
  struct call_slot *items;
  size_t count;
  size_t capacity;
};

/* Lists the pointers through which this process calls these functions. Takes the linker's lock. Returns 0 or an errno. */
int relocations_find(const struct replacement *replacements, size_t count, struct call_slot_list *list);

/* Redirects the calls. Neither allocates nor locks. */
void relocations_apply(const struct call_slot_list *list);

void relocations_free(struct call_slot_list *list);

/* ---- lone-thread.c ---------------------------------------------------------------------------------------------- */

/*
 * In the parent: lists the calls that lock, wake and wait. Once the child has applied the list, all locks are free in
 * it, and a wait that no thread could end ends the process instead. Returns 0, or an errno.
 */
int lone_thread_find_calls(struct call_slot_list *list);

/* ---- child.c ---------------------------------------------------------------------------------------------------- */

struct child_options {
  /* Writable memory that the child may map beyond what it has at the fork, bytes; copies of shared memory count. */
  uint64_t data_allowance_bytes;
  /* The kernel ends the child after this time. */
  unsigned deadline_seconds;
  /* Added to the parent's niceness. */
  int niceness;
  /* Whether the kernel should kill the child before all others when memory runs out. */
  bool first_for_oom_killer;
  /* A signal that the child ignores, as it ignores SIGHUP; 0 for none. */
  int ignored_signal;
};

/*
 * Cuts the child off from everything that it shares with the application, but for one descriptor. Signals are blocked when
 * this is called and unblocked when it returns. Returns 0, or an errno, after which the child must end.
 */
int child_detach(const struct child_options *options, const struct mapping_list *shared, int kept_descriptor);

/* ---- fork.c ----------------------------------------------------------------------------------------------------- */

/* The pause of the parent's thread: begins before the fork and ends after it. */
struct pause;

struct forked {
  /* Pid of the child; 0 in the child. */
  pid_t pid;
  /* In the parent the read end of the pipe, in the child the write end. */
  int result_descriptor;
  /* The pause of the parent's thread. The child can read it too, once it has ended. */
  const struct pause *pause;
};

/* Forks. Returns in both processes, in the child after it has been cut off: 0, or in the parent an errno. */
int fork_with_heap(const struct child_options *options, struct forked *forked);

/* The pause of the parent's thread, ms; the pause so far if it has not ended yet. */
double pause_read_ms(const struct pause *pause);

/* Unmaps the parent's copy; the child keeps its own. */
void pause_free(const struct pause *pause);

/* ---- threads.c -------------------------------------------------------------------------------------------------- */

/* Starts up to `wanted` threads at a time, which end at once. Returns the number that could be started. */
unsigned threads_available(unsigned wanted);

#endif
