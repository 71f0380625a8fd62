/*
 * fork(2) copies one thread. In the child, locks that other threads held stay locked, work that they had begun stays
 * unfinished, and glibc's condition variables block even inside pthread_cond_signal, waiting for waiters that existed at the
 * fork. A child that runs into one of these would hang until its deadline.
 *
 * So the child calls the functions below in place of the C library's that lock, wake and wait. In a process with one thread
 *   - every lock is free, even if its state says that it is held. Usually this is the lock of V8's task queue, which a worker
 *     thread of V8 held while it woke up. If the owner of a lock was in the middle of a change, the child may crash, as it may
 *     for other reasons; the parent forks again.
 *   - waking other threads does nothing: there are none.
 *   - work for the thread pool is dropped. libuv would start its threads again and wait for them. An addon that V8 calls after
 *     each collection (node-memwatch) queues such work, and a snapshot begins with a collection.
 *   - a wait without a time limit would never end, such as a wait for V8's workers during a collection. It ends the child at
 *     once, with an exit code that makes the parent fork again: a heap in the middle of a collection gives no snapshot.
 */
#define _GNU_SOURCE
#include "fork-helper.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Constants of linux/futex.h, a header that musl does not have. */
#define FUTEX_WAIT 0
#define FUTEX_WAIT_BITSET 9
#define FUTEX_FLAGS (128 | 256)

/*
 * glibc 2.34 added a newer version of sem_trywait, and the linker would choose it. Every glibc has the old version, so the
 * binary loads wherever Node.js does (glibc 2.28).
 */
#if defined(__GLIBC__) && defined(__x86_64__)
__asm__(".symver sem_trywait, sem_trywait@GLIBC_2.2.5");
#elif defined(__GLIBC__)
__asm__(".symver sem_trywait, sem_trywait@GLIBC_2.17");
#endif

_Noreturn static void give_up(void) { _exit(CHILD_EXIT_WAITED_FOR_THREAD); }

/*
 * Replaces every wait with a time limit: returns at once, as if the time had passed. A caller that waits again and again, as
 * a spin lock does, would waste CPU for ever, so the child exits after 1000 such waits.
 */
static int time_out(void) {
  static int timed_waits;
  if (++timed_waits > 1000) give_up();
  return ETIMEDOUT;
}

/* Returns 0 for success. Can replace functions of one to four arguments: the calling conventions let it ignore them. */
static int do_nothing(void) { return 0; }

static int wait_for_condition(pthread_cond_t *condition, pthread_mutex_t *mutex) {
  (void)condition;
  (void)mutex;
  give_up();
}

static int wait_for_condition_until(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *time) {
  (void)condition;
  (void)mutex;
  (void)time;
  return time_out();
}

static int wait_for_condition_by_clock(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                                       const struct timespec *time) {
  (void)clock;
  return wait_for_condition_until(condition, mutex, time);
}

static int wait_for_semaphore(sem_t *semaphore) {
  if (sem_trywait(semaphore) == 0) return 0;
  if (errno == EAGAIN) give_up();
  return -1;
}

static int wait_for_semaphore_until(sem_t *semaphore, const struct timespec *time) {
  (void)time;
  if (sem_trywait(semaphore) == 0) return 0;
  if (errno == EAGAIN) errno = time_out();
  return -1;
}

static int join_thread(pthread_t thread, void **result) {
  (void)thread;
  (void)result;
  give_up();
}

/*
 * Replaces the futex(2) system call that waits until a word in memory changes. Fails with EAGAIN, as in the kernel, if the word
 * has changed already. Any other wait would sleep: it ends the child, or times out if it has a time limit.
 */
static long wait_on_futex(const uint32_t *word, uint32_t expected, const struct timespec *timeout) {
  if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != expected) {
    errno = EAGAIN;
  } else {
    if (timeout == NULL) give_up();
    errno = time_out();
  }
  return -1;
}

/*
 * Replaces syscall(2), to catch waits on futexes: Abseil (inside V8 since Node 26) and the standard library of Rust make their
 * own locks of bare futexes.
 */
static long call_kernel(long number, ...) {
  long arguments[6];
  va_list list;
  va_start(list, number);
  for (size_t index = 0; index < 6; index++) arguments[index] = va_arg(list, long);
  va_end(list);

  if (number == SYS_futex) {
    int command = (int)arguments[1] & ~FUTEX_FLAGS;
    if (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET) {
      return wait_on_futex((const uint32_t *)arguments[0], (uint32_t)arguments[2], (const struct timespec *)arguments[3]);
    }
  }
  /* Not a recursion: relocations_find skips this addon, so its own calls of syscall(2) are not replaced. */
  return syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

/* Stores a function as a pointer to data, as dlsym(3) does. */
#define REPLACEMENT(name, function) \
  { name, (void *)(uintptr_t)(function) }

static const struct replacement replacements[] = {
    REPLACEMENT("pthread_mutex_lock", do_nothing),
    REPLACEMENT("pthread_mutex_trylock", do_nothing),
    REPLACEMENT("pthread_mutex_timedlock", do_nothing),
    REPLACEMENT("pthread_mutex_clocklock", do_nothing),
    REPLACEMENT("pthread_mutex_unlock", do_nothing),
    REPLACEMENT("pthread_rwlock_rdlock", do_nothing),
    REPLACEMENT("pthread_rwlock_tryrdlock", do_nothing),
    REPLACEMENT("pthread_rwlock_wrlock", do_nothing),
    REPLACEMENT("pthread_rwlock_trywrlock", do_nothing),
    REPLACEMENT("pthread_rwlock_unlock", do_nothing),
    REPLACEMENT("pthread_cond_signal", do_nothing),
    REPLACEMENT("pthread_cond_broadcast", do_nothing),
    REPLACEMENT("pthread_cond_wait", wait_for_condition),
    REPLACEMENT("pthread_cond_timedwait", wait_for_condition_until),
    REPLACEMENT("pthread_cond_clockwait", wait_for_condition_by_clock),
    REPLACEMENT("sem_wait", wait_for_semaphore),
    REPLACEMENT("sem_timedwait", wait_for_semaphore_until),
    REPLACEMENT("pthread_join", join_thread),
    REPLACEMENT("syscall", call_kernel),
    REPLACEMENT("uv_queue_work", do_nothing),
    REPLACEMENT("napi_queue_async_work", do_nothing),
};

int lone_thread_find_calls(struct call_slot_list *list) {
  return relocations_find(replacements, sizeof replacements / sizeof replacements[0], list);
}
