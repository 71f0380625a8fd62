/*
 * Counts the CPU time that the main thread spends in garbage collections. Not wall time: a short collection during which the
 * kernel gives the CPU to another thread would look like a long one. V8 calls `begin` and `end` on the main thread, before and
 * after each collection; other threads read the sum. A PerformanceObserver is not used, because it would run JavaScript on the
 * main thread for each collection.
 */
#define _GNU_SOURCE
#include "gc-time.h"

#include <math.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Declares a C++ function of V8 by its mangled name, as a weak reference: NULL if the executable does not export it. */
#define EXPORTED_BY_V8(name) __asm__(name) __attribute__((weak, visibility("default")))

typedef void gc_callback(void *isolate, int type, int flags, void *data);

extern void *current_isolate(void) EXPORTED_BY_V8("_ZN2v87Isolate10GetCurrentEv");
extern void add_prologue(void *isolate, gc_callback *callback, void *data, int types)
    EXPORTED_BY_V8("_ZN2v87Isolate21AddGCPrologueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_S2_");
extern void add_epilogue(void *isolate, gc_callback *callback, void *data, int types)
    EXPORTED_BY_V8("_ZN2v87Isolate21AddGCEpilogueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_S2_");
extern void remove_prologue(void *isolate, gc_callback *callback, void *data)
    EXPORTED_BY_V8("_ZN2v87Isolate24RemoveGCPrologueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_");
extern void remove_epilogue(void *isolate, gc_callback *callback, void *data)
    EXPORTED_BY_V8("_ZN2v87Isolate24RemoveGCEpilogueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_");

/*
 * The collections to count, as bits of v8::GCType, which are the same from Node.js 20 to 26: scavenges, minor mark-sweeps and
 * mark-sweep-compacts.
 */
#define COLLECTIONS 7

/* The V8 isolate whose collections are counted; NULL if none. */
static void *watched;
static _Atomic bool was_watched;
/* Number of collections under way: a collection may begin within another. */
static int depth;
static _Atomic uint64_t sum_ns;
/* CPU time of the main thread when the collection under way began, ns; 0 when there is none. */
static _Atomic uint64_t began_ns;

/* The kernel's id of a thread's CPU clock; pthread_getcpuclockid(3) would have a symbol version that older glibc lack. */
#define THREAD_CPU_CLOCK(tid) ((clockid_t)((~(unsigned)(tid) << 3) | 6U))

/* The main thread's CPU clock; any thread can read it. */
static clockid_t thread_clock;

static uint64_t now_ns(void) {
  struct timespec now;
  if (clock_gettime(thread_clock, &now) != 0) return 0;
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void begin(void *isolate, int type, int flags, void *data) {
  (void)isolate, (void)type, (void)flags, (void)data;
  if (depth++ == 0) atomic_store(&began_ns, now_ns());
}

static void end(void *isolate, int type, int flags, void *data) {
  (void)isolate, (void)type, (void)flags, (void)data;
  if (depth == 0 || --depth > 0) return;
  uint64_t began = atomic_exchange(&began_ns, 0);
  uint64_t now = now_ns();
  if (now > began) atomic_fetch_add(&sum_ns, now - began);
}

bool gc_time_watch(void) {
  if (watched != NULL) return true;
  if (current_isolate == NULL || add_prologue == NULL || add_epilogue == NULL || remove_prologue == NULL ||
      remove_epilogue == NULL) {
    return false;
  }
  thread_clock = THREAD_CPU_CLOCK((pid_t)syscall(SYS_gettid));
  watched = current_isolate();
  if (watched == NULL) return false;
  depth = 0;
  was_watched = true;
  add_prologue(watched, begin, NULL, COLLECTIONS);
  add_epilogue(watched, end, NULL, COLLECTIONS);
  return true;
}

void gc_time_unwatch(void) {
  if (watched == NULL) return;
  remove_prologue(watched, begin, NULL);
  remove_epilogue(watched, end, NULL);
  watched = NULL;
  atomic_store(&began_ns, 0);
}

double gc_time_ms(void) {
  if (!was_watched) return NAN;
  /* In this order, a collection that ends during these reads may be missing from the result, but is never counted twice. */
  uint64_t began = atomic_load(&began_ns);
  uint64_t sum = atomic_load(&sum_ns);
  uint64_t now = now_ns();
  uint64_t current = began != 0 && atomic_load(&began_ns) == began && now > began ? now - began : 0;
  return (double)(sum + current) / 1e6;
}
