/*
 * Keeps a forked child from waiting for threads that it does not have: fork(2) copies only the calling thread. In the child,
 * locks that other threads held stay locked, work that they had begun stays unfinished, and glibc's pthread_cond_signal can
 * block, because it waits for waiters that existed at the fork. A child that runs into one of these would hang until its
 * deadline.
 *
 * So in the child the functions below replace those of the C library that lock, wake and wait. In a process with one thread:
 *   - every lock is free, even if its state says that it is held. A lock held at the fork is usually that of V8's task queue,
 *     held by a worker thread of V8 that was waking up. If the owner of a lock was in the middle of a change, the child may
 *     crash. The parent then forks again, as after other crashes of the child.
 *   - waking other threads does nothing: there are none.
 *   - work for libuv's thread pool is dropped. libuv would start its threads again and wait for them. An addon that V8 calls
 *     after each garbage collection (node-memwatch) queues such work, and a snapshot begins with a collection.
 *   - a wait without a time limit, such as a wait for V8's workers during a collection, would never end. It ends the child at
 *     once, with an exit code that makes the parent fork again: in the middle of a collection no snapshot can be taken.
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

/* Constants of linux/futex.h, a header that musl does not have. FUTEX_FLAGS are the bits that may be added to a command. */
#define FUTEX_WAIT 0
#define FUTEX_WAIT_BITSET 9
#define FUTEX_FLAGS (128 | 256)

/*
 * glibc 2.34 added a newer version of sem_trywait, and the linker would choose it. Every glibc has the old version, so with
 * this one the binary loads wherever Node.js does (from glibc 2.28).
 */
#if defined(__GLIBC__) && defined(__x86_64__)
__asm__(".symver sem_trywait, sem_trywait@GLIBC_2.2.5");
#elif defined(__GLIBC__)
__asm__(".symver sem_trywait, sem_trywait@GLIBC_2.17");
#endif

_Noreturn static void give_up(void) { _exit(CHILD_EXIT_WAITED_FOR_THREAD); }

/*
 * Stands for the wait in all functions that wait with a time limit: returns ETIMEDOUT at once, as if the time had passed. A
 * caller that repeats its wait, as a spin lock does, would use CPU for ever, so the child exits at the 1001st such wait.
 */
static int time_out(void) {
  static int timed_waits;
  if (++timed_waits > 1000) give_up();
  return ETIMEDOUT;
}

/* Returns 0 (success). Can replace functions of one to four arguments, which the calling conventions let it ignore. */
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
 * Replaces the futex(2) system call that waits until a word in memory changes. If the word has changed already, fails with
 * EAGAIN, as the kernel does. Otherwise the wait would sleep: it ends the child, or times out if it has a time limit.
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
 * Replaces syscall(2), to catch waits on futexes: Abseil (part of V8 since Node 26) and Rust's standard library build their
 * locks on futex(2), without the C library's functions. Other system calls are passed on.
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
  /* This calls the C library, not this function again: relocations_find skips this addon, so its own calls are not replaced. */
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
