/* The parent's side of the fork, on the application's main thread. The first steps of the child are in child.c. */
#define _GNU_SOURCE
#include "fork-helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/*
 * Time for which the fork stopped the application's main thread. The child reports this pause, but only the parent can measure
 * it, and only after the fork. So the parent writes it into a page of memory that both processes share. The page is mapped
 * after the search for shared memory, because the child replaces all shared memory that the search finds by copies.
 */
struct pause {
  double started_ms;
  /* Negative until the pause has ended. */
  _Atomic double lasted_ms;
};

static struct pause *share_pause(double started_ms) {
  void *page = mmap(NULL, sizeof(struct pause), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return NULL;
  struct pause *pause = page;
  pause->started_ms = started_ms;
  atomic_init(&pause->lasted_ms, -1);
  return pause;
}

static void pause_end(struct pause *pause) { atomic_store(&pause->lasted_ms, now_ms() - pause->started_ms); }

double pause_read_ms(const struct pause *pause) {
  double lasted_ms = atomic_load(&pause->lasted_ms);
  return lasted_ms < 0 ? now_ms() - pause->started_ms : lasted_ms;
}

void pause_free(const struct pause *pause) { (void)munmap((void *)(uintptr_t)pause, sizeof *pause); }

/*
 * Data that the parent collects before the fork: for the child, the calls to redirect and the shared memory to copy; for the
 * parent, the memory of V8's heap to exclude from forks again.
 */
struct findings {
  struct call_slot_list calls;
  struct mapping_list marked;
  struct mapping_list shared;
};

static int find_out(struct findings *found) {
  int error = lone_thread_find_calls(&found->calls);
  return error != 0 ? error : mappings_let_in(&found->marked, &found->shared);
}

static void forget(struct findings *found) {
  mappings_free(&found->shared);
  mappings_free(&found->marked);
  relocations_free(&found->calls);
}

/*
 * Forks while all signals are blocked. In the child they stay blocked until child_begin has replaced the application's signal
 * handlers by the default actions: libuv's handlers would write into a pipe that both processes share.
 */
static int fork_with_signals_blocked(const struct child_options *options, const struct findings *found,
                                     const int pipe_ends[2], struct forked *forked) {
  sigset_t all;
  sigset_t before;
  (void)sigfillset(&all);
  /* On Linux this sets only the calling thread's mask, like pthread_sigmask, whose symbol version older glibc lack. */
  (void)sigprocmask(SIG_SETMASK, &all, &before);
  pid_t pid = fork();
  int error = pid < 0 ? errno : 0;
  if (pid == 0) child_begin(options, &found->calls, &found->shared, pipe_ends);
  else (void)sigprocmask(SIG_SETMASK, &before, NULL);
  forked->pid = pid;
  return error;
}

static int fork_with_pipe(const struct child_options *options, const struct findings *found, struct forked *forked) {
  /* Close-on-exec: a program that another thread of the application starts meanwhile must not hold the pipe open. */
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return errno;

  int error = fork_with_signals_blocked(options, found, pipe_ends, forked);
  if (error == 0 && forked->pid == 0) {
    forked->result_descriptor = pipe_ends[1];
    return 0;
  }
  /* Once the parent has closed its write end, the child holds the last one: the parent's reads end when the child ends. */
  (void)close(pipe_ends[1]);
  if (error != 0) (void)close(pipe_ends[0]);
  else forked->result_descriptor = pipe_ends[0];
  return error;
}

int fork_with_heap(const struct child_options *options, struct forked *forked) {
  double started_ms = now_ms();
  struct pause *pause = NULL;
  /* find_out takes locks of the C library. It runs in the parent, where threads that hold these locks can release them. */
  struct findings found = {0};
  int error = find_out(&found);
  if (error == 0) {
    pause = share_pause(started_ms);
    if (pause == NULL) error = errno;
    forked->pause = pause;
    if (error == 0) error = fork_with_pipe(options, &found, forked);
    if (error == 0 && forked->pid == 0) return 0;
    mappings_leave_out(&found.marked);
  }
  forget(&found);
  if (pause != NULL && error == 0) pause_end(pause);
  if (pause != NULL && error != 0) pause_free(pause);
  return error;
}
