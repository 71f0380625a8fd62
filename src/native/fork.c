/* The parent's side of the fork. Between fork(2) and the return everything in here runs on the application's main thread. */
#define _GNU_SOURCE
#include "fork-helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* In the child, with all signals blocked and one thread left. What it cannot make harmless it ends. */
static void become_child(const struct child_options *options, const struct call_slot_list *calls, const int pipe_ends[2]) {
  lone_thread_replace_calls(calls);
  if (child_detach(options, pipe_ends[1]) != 0) _exit(CHILD_EXIT_NOT_DETACHED);
}

/*
 * The application's handlers must not run in the child, where libuv's would write into a pipe that both processes share:
 * all signals stay blocked until the child has put the default actions in their place.
 */
static int fork_with_signals_blocked(const struct child_options *options, const struct call_slot_list *calls,
                                     const int pipe_ends[2], struct forked *forked) {
  sigset_t all;
  sigset_t before;
  (void)sigfillset(&all);
  /* On Linux sigprocmask is the calling thread's; pthread_sigmask has a symbol version that older glibc lack. */
  (void)sigprocmask(SIG_SETMASK, &all, &before);
  double start_ms = now_ms();
  pid_t pid = fork();
  int error = pid < 0 ? errno : 0;
  if (pid == 0) become_child(options, calls, pipe_ends);
  else (void)sigprocmask(SIG_SETMASK, &before, NULL);
  forked->pid = pid;
  forked->fork_ms = now_ms() - start_ms;
  return error;
}

static int fork_with_pipe(const struct child_options *options, const struct call_slot_list *calls, struct forked *forked) {
  /* Close-on-exec: a program that the application starts meanwhile must not hold the pipe open. */
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return errno;

  int error = fork_with_signals_blocked(options, calls, pipe_ends, forked);
  if (error == 0 && forked->pid == 0) {
    forked->result_descriptor = pipe_ends[1];
    return 0;
  }
  /* Once the parent has closed its copy the child holds the last one, and the pipe ends when the child ends. */
  (void)close(pipe_ends[1]);
  if (error != 0) (void)close(pipe_ends[0]);
  else forked->result_descriptor = pipe_ends[0];
  return error;
}

int fork_with_heap(const struct child_options *options, struct forked *forked) {
  /* Everything that takes the C library's own locks is done here, in the parent, where other threads can release them. */
  struct call_slot_list calls = {0};
  struct mapping_list marked = {0};
  double start_ms = now_ms();
  int error = lone_thread_find_calls(&calls);
  if (error == 0) error = mappings_let_in(&marked);
  if (error == 0) {
    double before_fork_ms = now_ms();
    error = fork_with_pipe(options, &calls, forked);
    if (error == 0 && forked->pid == 0) return 0;
    double after_fork_ms = now_ms();
    mappings_leave_out(&marked);
    forked->preparation_ms = (before_fork_ms - start_ms) + (now_ms() - after_fork_ms);
  }
  mappings_free(&marked);
  lone_thread_free(&calls);
  return error;
}
