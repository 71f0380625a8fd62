/*
 * The fork helper takes a heap snapshot of a running Node.js process by forking it: the child writes the snapshot from its
 * frozen copy of the heap while the application goes on.
 *
 * V8 is not made to be forked. Each file deals with one obstacle or task:
 *
 *   mappings.c     V8 excludes its heap from every fork. Includes the heap before the fork, and excludes it again after.
 *   fork.c         The parent's side of the fork: steps before fork(2), and their reversal after it.
 *   lone-thread.c  Only the forking thread exists in the child, and a wait for another would never end. Replaces such waits.
 *   relocations.c  Redirects the child's calls to these replacements, by the relocation tables of all loaded objects.
 *   child.c        The child is a copy of a server. Gives up the server's sockets, files, shared memory and signal handlers in
 *                  the child, and leaves the server its share of the memory limit.
 *   heap-limit.c   Forks a process that V8 is about to end because its heap is full.
 *   threads.c      Node.js and V8 end a process that cannot start a thread. Tries beforehand how many threads can start.
 *   gc-time.c      No part of a fork: counts the main thread's CPU time in garbage collections.
 *   addon.c        Exports the functions to JavaScript.
 *
 * Linux only, 64 bit, glibc or musl.
 */
#ifndef FORK_HELPER_H
#define FORK_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Exit codes of a child that did not finish its job; codes of sysexits.h where one fits. */
enum child_exit {
  /* The job threw, its result did not fit into RESULT_CAPACITY_BYTES, or, at V8's heap limit, it wrote no file. */
  CHILD_EXIT_JOB_FAILED = 70,
  /* child_begin failed. The child still shared files or memory with the application, so it ended before the job. */
  CHILD_EXIT_NOT_DETACHED = 71,
  /* The child needed a thread that was not forked. Another fork, at another moment, may succeed. */
  CHILD_EXIT_WAITED_FOR_THREAD = 75
};

/*
 * Maximum length of the job's result, bytes. The child sends the result through a pipe, which the parent reads only when the
 * child has closed it. The result must fit into the pipe (65536 bytes), because otherwise the child would wait for the parent.
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
 * Surveys the memory mappings that V8 excludes from fork(2), for the next fork. Any thread may call it. Call it on another
 * thread than the forking one, which it would block for as long as the fork does. Returns 0, or an errno.
 */
int mappings_survey(void);

/*
 * Makes fork(2) copy all private anonymous memory from now on, V8's heap included. Lists in `marked` the mappings to exclude
 * again after the fork, as the latest survey found them; makes a survey if there was none since the last fork. Lists in
 * `shared` the mappings that the child would share with this process and could write to. Returns 0; or an errno, and then the
 * set of mappings that fork(2) copies is unchanged.
 */
int mappings_let_in(struct mapping_list *marked, struct mapping_list *shared);

/* Makes fork(2) exclude these mappings again, as V8 had marked them. */
void mappings_leave_out(const struct mapping_list *marked);

void mappings_free(struct mapping_list *list);

/* ---- relocations.c ---------------------------------------------------------------------------------------------- */

/* Name of a function that a loaded object (a shared library or the executable) calls, and the function to call instead. */
struct replacement {
  const char *name;
  void *function;
};

/* Address of a pointer through which a function is called, and the function to store there. */
struct call_slot {
  void **address;
  void *replacement;
};

struct call_slot_list {
  struct call_slot *items;
  size_t count;
  size_t capacity;
};

/* Lists the pointers through which the loaded objects, except this addon, call the named functions. Locks the dynamic linker
 * meanwhile. Returns 0, or an errno. */
int relocations_find(const struct replacement *replacements, size_t count, struct call_slot_list *list);

/* Sets the listed pointers to the replacements. Neither allocates memory nor takes a lock, so it can run in the child. */
void relocations_apply(const struct call_slot_list *list);

void relocations_free(struct call_slot_list *list);

/* ---- lone-thread.c ---------------------------------------------------------------------------------------------- */

/*
 * In the parent: lists the calls that lock a mutex, wake a thread, wait for one or give it work. Once the child has redirected
 * these calls, every lock is free in the child, and a wait that no thread could end makes it exit. Returns 0, or an errno.
 */
int lone_thread_find_calls(struct call_slot_list *list);

/* ---- child.c ---------------------------------------------------------------------------------------------------- */

struct child_options {
  /* Writable memory that the child may map in addition to what it has at the fork, bytes. Its copies of shared memory count. */
  uint64_t data_allowance_bytes;
  /* Time after which the kernel ends the child by SIGALRM, seconds. */
  unsigned deadline_seconds;
  /* Amount that nice(2) adds to the niceness inherited from the parent, 0 to 19. */
  int niceness;
  /* Whether the kernel should kill the child before all others when memory runs out. */
  bool first_for_oom_killer;
  /* Number of a signal that the child ignores in addition to SIGHUP, SIGPIPE and SIGXFSZ; 0 for none. */
  int ignored_signal;
};

/*
 * The first function that runs in the child. Redirects `calls`, and cuts the child off from the application's file descriptors,
 * except the write end of the pipe, from its signal handlers, and from the shared memory in `shared`. All signals must be
 * blocked before the call, and are unblocked after it. If the child cannot be cut off, it ends with CHILD_EXIT_NOT_DETACHED.
 */
void child_begin(const struct child_options *options, const struct call_slot_list *calls,
                 const struct mapping_list *shared, const int pipe_ends[2]);

/* ---- fork.c ----------------------------------------------------------------------------------------------------- */

/* The time for which a fork stops the application's main thread: from the preparations for fork(2) until after it. */
struct pause;

struct forked {
  /* Pid of the child; 0 in the child. */
  pid_t pid;
  /* In the parent the read end of the pipe, in the child the write end. */
  int result_descriptor;
  /* The parent's pause, in memory that both processes share, so that the child can read it too. */
  const struct pause *pause;
};

/*
 * Forks the process with V8's heap. On success returns 0 in both processes, in the child after child_begin. On failure returns
 * an errno; there is no child then.
 */
int fork_with_heap(const struct child_options *options, struct forked *forked);

/* Returns for how long the fork has stopped the parent's main thread, ms: the whole pause, or its time so far if it goes on. */
double pause_read_ms(const struct pause *pause);

/* Unmaps the memory of the pause in the calling process only. */
void pause_free(const struct pause *pause);

/* ---- threads.c -------------------------------------------------------------------------------------------------- */

/* Tries to start `wanted` threads that exist at the same time, and ends them again. Returns how many could be started. */
unsigned threads_available(unsigned wanted);

#endif
