/*
 * Finds out how many threads this process could start now. The kernel counts processes and threads against RLIMIT_NPROC
 * and pids.max, of this process, of others of the same user, and of other containers: no number in /proc shows the
 * result, only a trial does.
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
 * glibc 2.34 added newer versions of these symbols, and the linker would choose them. The old versions are in every glibc, so the
 * binary loads wherever Node.js does (2.28).
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
 * The kernel still counts a thread for a moment after pthread_join has returned, until its id is unknown. The wait for
 * that is bounded, in case the id is given to another thread at once.
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
  /* sigprocmask sets the calling thread's mask. New threads inherit it: no handler of the application runs on them. */
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
