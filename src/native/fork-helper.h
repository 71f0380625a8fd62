/*
 * The fork helper takes a heap snapshot of a running Node.js process by forking it: the child writes the snapshot from its
 * frozen copy of the heap while the application goes on.
 *
 * V8 is not made to be forked. Each obstacle has a file:
 *
 *   mappings.c     V8 excludes its heap from every fork. The heap has to be included before the fork, and excluded again after.
 *   fork.c         The parent's side: steps before fork(2), and their reversal after it.
 *   lone-thread.c  Only the forking thread exists in the child. A wait for another thread would never end.
 *   relocations.c  How the child's calls are redirected: a walk over the relocation tables of all loaded objects.
 *   child.c        The child is a copy of a server: it has to give up the server's sockets, files, shared memory and signal
 *                  handlers, and to leave the server its share of the memory limit.
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

/* Exit codes of a child that did not finish its job; taken from sysexits.h where one fits. */
enum child_exit {
  /* The job threw, or its result did not fit into RESULT_CAPACITY_BYTES. */
  CHILD_EXIT_JOB_FAILED = 70,
  /* child_begin failed: the child still shared files, memory or signals with the application, and ended before the job. */
  CHILD_EXIT_NOT_DETACHED = 71,
  /* The child needed a thread that was not forked. Another fork, at another moment, may succeed. */
  CHILD_EXIT_WAITED_FOR_THREAD = 75
};

/*
 * Maximum length of the job's result, bytes. The child sends it through a pipe, which the parent reads only when the child
 * has closed it. A pipe takes 65536 bytes before the writer has to wait, so the child never waits.
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
 * Lists the memory mappings that V8 excludes from fork(2), for use by the next fork. Any thread may call it, but better not the
 * one that forks, because the search takes as long as the fork. Returns 0, or an errno.
 */
int mappings_survey(void);

/*
 * Makes fork(2) copy all private memory from now on. Lists in `marked` the mappings to exclude again afterwards, as the latest
 * survey found them; makes a survey if there was none since the last fork. Lists in `shared` the mappings that the child would
 * share with this process and could write to. Returns 0, or an errno if nothing was changed.
 */
int mappings_let_in(struct mapping_list *marked, struct mapping_list *shared);

/* Makes fork(2) exclude these mappings again, as V8 had marked them. */
void mappings_leave_out(const struct mapping_list *marked);

void mappings_free(struct mapping_list *list);

/* ---- relocations.c ---------------------------------------------------------------------------------------------- */

/* The name of a function of another loaded object (a shared library or the executable), and the function to call instead. */
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

/* Lists the pointers through which this process calls these functions. Takes the dynamic linker's lock. Returns 0 or an errno. */
int relocations_find(const struct replacement *replacements, size_t count, struct call_slot_list *list);

/* Sets the listed pointers to the replacements. Neither allocates nor takes a lock, so it can run in the child. */
void relocations_apply(const struct call_slot_list *list);

void relocations_free(struct call_slot_list *list);

/* ---- lone-thread.c ---------------------------------------------------------------------------------------------- */

/*
 * In the parent: lists the calls that lock a mutex, wake a thread or wait for one. Once the child has applied the list, every
 * lock is free in the child, and a wait that no thread could end makes the child exit. Returns 0, or an errno.
 */
int lone_thread_find_calls(struct call_slot_list *list);

/* ---- child.c ---------------------------------------------------------------------------------------------------- */

struct child_options {
  /* Writable memory that the child may map in addition to what it has at the fork, bytes; copies of shared memory count. */
  uint64_t data_allowance_bytes;
  /* The kernel ends the child after this time, by SIGALRM. */
  unsigned deadline_seconds;
  /* What nice(2) adds to the parent's niceness, 0 to 19. */
  int niceness;
  /* Whether the kernel should kill the child before all others when memory runs out. */
  bool first_for_oom_killer;
  /* A signal that the child ignores, as it ignores SIGHUP; 0 for none. */
  int ignored_signal;
};

/*
 * The first that runs in the child: puts `calls` into effect, and cuts the child off from everything that it shares with the
 * application, except the write end of the pipe. Signals must be blocked before the call; they are unblocked when it returns. If a
 * step fails, it ends the child.
 */
void child_begin(const struct child_options *options, const struct call_slot_list *calls,
                 const struct mapping_list *shared, const int pipe_ends[2]);

/* ---- fork.c ----------------------------------------------------------------------------------------------------- */

/* How long the fork stops the application's main thread: from before fork(2) until after it. */
struct pause;

struct forked {
  /* Pid of the child; 0 in the child. */
  pid_t pid;
  /* In the parent the read end of the pipe, in the child the write end. */
  int result_descriptor;
  /* In memory that both processes share, so that the child can read the parent's pause too. */
  const struct pause *pause;
};

/*
 * Forks, V8's heap included. On success returns 0 in both processes, in the child after child_begin. On failure returns an
 * errno in the parent.
 */
int fork_with_heap(const struct child_options *options, struct forked *forked);

/* How long the fork has stopped the parent's main thread, ms; the time so far if the pause has not ended yet. */
double pause_read_ms(const struct pause *pause);

/* Unmaps the pause in the calling process only. */
void pause_free(const struct pause *pause);

/* ---- threads.c -------------------------------------------------------------------------------------------------- */

/* Tries to start `wanted` threads that exist at the same time, and ends them. Returns how many could be started. */
unsigned threads_available(unsigned wanted);

#endif
