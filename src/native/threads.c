/*
 * Tests how many threads this process could start now. The kernel limits threads by RLIMIT_NPROC, which counts the threads
 * of all processes of the user, and by the pids.max of each cgroup that contains the process. No file in /proc shows how many
 * threads can still be started, so this code starts threads and ends them again.
 */
#define _GNU_SOURCE
#include "fork-helper.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * glibc 2.34 added newer versions of these functions, and the linker would choose them. Every glibc has the old versions, so
 * with these the binary loads wherever Node.js does (from glibc 2.28).
 */
#if defined(__GLIBC__) && defined(__x86_64__)
__asm__(".symver pthread_create, pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_join, pthread_join@GLIBC_2.2.5");
#elif defined(__GLIBC__)
__asm__(".symver pthread_create, pthread_create@GLIBC_2.17");
__asm__(".symver pthread_join, pthread_join@GLIBC_2.17");
#endif

struct trial {
  pthread_t thread;
  pthread_mutex_t *gate;
  pid_t tid;
};

static void *wait_for_the_others(void *argument) {
  struct trial *trial = argument;
  trial->tid = (pid_t)syscall(SYS_gettid);
  (void)pthread_mutex_lock(trial->gate);
  (void)pthread_mutex_unlock(trial->gate);
  return NULL;
}

/*
 * Joins the thread, then waits until the kernel no longer counts it, a moment after pthread_join returns: tgkill(2) then no
 * longer finds its id. The wait has a limit, in case the kernel gives the id to another thread at once.
 */
static void end(const struct trial *trial) {
  static const struct timespec moment = {0, 20000};
  (void)pthread_join(trial->thread, NULL);
  for (int waits = 0; waits < 1000 && syscall(SYS_tgkill, getpid(), trial->tid, 0) == 0; waits++)
    (void)nanosleep(&moment, NULL);
}

unsigned threads_available(unsigned wanted) {
  struct trial *trials = calloc(wanted, sizeof *trials);
  if (trials == NULL) return 0;

  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  sigset_t all;
  sigset_t before;
  (void)sigfillset(&all);
  /* The new threads inherit this signal mask, so that no signal handler of the application runs on them. */
  (void)sigprocmask(SIG_SETMASK, &all, &before);
  (void)pthread_mutex_lock(&gate);
  unsigned started = 0;
  for (; started < wanted; started++) {
    struct trial *trial = &trials[started];
    trial->gate = &gate;
    if (pthread_create(&trial->thread, NULL, wait_for_the_others, trial) != 0) break;
  }
  (void)pthread_mutex_unlock(&gate);
  for (unsigned i = 0; i < started; i++) end(&trials[i]);
  (void)sigprocmask(SIG_SETMASK, &before, NULL);

  free(trials);
  return started;
}
