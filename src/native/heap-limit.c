/*
 * V8 ends a process whose heap has reached its limit ("FATAL ERROR: Reached heap limit", "Ineffective mark-compacts
 * near heap limit"). Just before, it calls the near-heap-limit callback, which may raise the limit. The callback in
 * this file does not: it forks, and the child writes a heap profile and a heap snapshot that show what filled the heap.
 *
 * V8 runs the callback on the thread of the isolate, inside or right after a collection, with the current limit; it
 * returns the new limit, and one that is not higher changes nothing. V8 forbids JavaScript and allocation on the heap
 * in it. So everything is decided beforehand, in the plan, and this file only makes system calls, allocates small
 * amounts with malloc(3), and waits for a bounded time (with two exceptions, below).
 *
 *   - The fork is made at once. A process that is given more heap to go on with may be inside one native call that
 *     fills that as well (an array that doubles, JSON.parse of a giant), and never reach a point at which it could be
 *     asked to fork.
 *   - The parent's limit stays as it is, so V8 ends it the way it would have ended it. With a higher limit it would
 *     live on, in a state that no application was tested in.
 *   - The child's limit is raised. It returns into the code that asked for memory, which V8 lets continue up to the
 *     next loop turn or function entry. There V8 serves interrupts, and the one requested here runs the job. A native
 *     call that is under way ends first; the child has nothing left that such a call could damage (child.c).
 *   - The parent is held until the child is past its first collection and has its profile on disk. Until then the child
 *     may need a thread of V8's that was not forked with it (mostly a sweeper), end with CHILD_EXIT_WAITED_FOR_THREAD,
 *     and need another fork, which only a parent that still exists can make.
 *
 * Two waits of the parent have no bound, because only the thread that holds the lock could end them:
 *
 *   - The search for the calls to replace (dl_iterate_phdr(3)) waits for a thread that is inside dlopen(3). V8's own end
 *     waits for the same lock, as it looks up the names in its stack trace (dladdr(3)): with a library whose constructor
 *     takes 8 s on another thread, the process dies after 8 s with this library and without it.
 *   - fork(2) waits for the C library's lock of malloc(3), which threads hold for microseconds, and runs the handlers of
 *     pthread_atfork(3) that the application's native libraries have registered, as each fork of the process does.
 *
 * A timer that ended the wait would have to end the process, by another signal than V8's.
 *
 * V8 also calls the callback before a collection of last resort, after which a process can live on. Then the child is
 * an ordinary forked child: it finishes, and is reaped later. Until it has ended, no other is forked here.
 */
#define _GNU_SOURCE
#include "heap-limit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * Pause before the first fork, ms. V8 has just collected, and its threads are still sweeping the heap. A child that is
 * forked in the middle waits for them in its own collection: half of all first children ended that way without this
 * pause, none in 16 trials with it.
 */
#define SWEEP_MS 50
/* Number of forks for one dump, at most. In practice the second one succeeds. */
#define MOST_FORKS 5
/*
 * V8 can call several times in a row. A process that lives on has its next dump after at least this time, ms, and the
 * next line about a dump that is refused. A dump that has become possible after a refusal is made at once.
 */
#define SETTLING_MS 60000
/* Least raise of the child's limit. Its job needs a few MB; a native call under way may need as much as the heap. */
#define LEAST_RAISE_BYTES ((size_t)256 << 20)
/* Interval at which the callback looks for a second plan, ms. */
#define PLAN_PAUSE_MS 10
/* Interval at which the parent tries to reap a child that has closed its pipe, ms. */
#define REAP_PAUSE_MS 2

/* ---- V8 ---------------------------------------------------------------------------------------------------------- */

/*
 * C++ functions of V8 by their mangled names, which every Node.js from 20 to 26 exports, so that no V8 header is needed
 * and one binary serves all of them. The references are weak: in an executable without these symbols they are NULL.
 */
#define EXPORTED_BY_V8(name) __asm__(name) __attribute__((weak, visibility("default")))

typedef size_t near_heap_limit_callback(void *data, size_t current_bytes, size_t initial_bytes);
typedef void interrupt_callback(void *isolate, void *data);

extern void *get_current_isolate(void) EXPORTED_BY_V8("_ZN2v87Isolate10GetCurrentEv");
extern void add_callback(void *isolate, near_heap_limit_callback *callback, void *data)
    EXPORTED_BY_V8("_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_");
/* A `limit_bytes` of 0 leaves the limit as it is. */
extern void remove_callback(void *isolate, near_heap_limit_callback *callback, size_t limit_bytes)
    EXPORTED_BY_V8("_ZN2v87Isolate27RemoveNearHeapLimitCallbackEPFmPvmmEm");
extern void request_interrupt(void *isolate, interrupt_callback *callback, void *data)
    EXPORTED_BY_V8("_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_");

/* ---- state ------------------------------------------------------------------------------------------------------- */

static struct {
  /* The isolate whose callback is armed; NULL when none is. */
  void *isolate;
  pid_t pid;
  void (*job)(const struct heap_limit_child *);
} armed;

/*
 * Guards the plan, which the thread that reads the memory writes, and the callback copies. No thread waits while it
 * holds this lock.
 */
static pthread_mutex_t plan_lock = PTHREAD_MUTEX_INITIALIZER;
/* Number of plans for the current arming. */
static unsigned long plans;
static struct heap_limit_plan next_plan;
/* Number of the current or, after disarming, of the next arming, from 1. */
static unsigned arming = 1;

/* Used by the callback only. Static, because it may run with little stack left. */
static struct heap_limit_plan plan;
static struct heap_limit_child child;
/* Files that the child has reported. */
static bool has_written_profile;
static bool has_written_snapshot;
static double last_dump_ms;
static double last_refusal_ms;

/* Pid of a child whose parent has lived on; 0 when there is none. */
static _Atomic pid_t unreaped;
/* Pid of the latest ordinary forked child; 0 before the first. */
static _Atomic pid_t ordinary_child;

void heap_limit_prepare(const struct heap_limit_plan *prepared) {
  (void)pthread_mutex_lock(&plan_lock);
  if (prepared->arming == arming) {
    next_plan = *prepared;
    plans++;
  }
  (void)pthread_mutex_unlock(&plan_lock);
}

static void forget_plans(void) {
  (void)pthread_mutex_lock(&plan_lock);
  plans = 0;
  arming++;
  (void)pthread_mutex_unlock(&plan_lock);
}

void heap_limit_note_child(pid_t pid) { atomic_store(&ordinary_child, pid); }

static double read_clock_ms(clockid_t clock) {
  struct timespec now;
  (void)clock_gettime(clock, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double now_ms(void) { return read_clock_ms(CLOCK_MONOTONIC); }

/* Copies the latest plan. Returns the number of plans so far. */
static unsigned long copy_plan(void) {
  (void)pthread_mutex_lock(&plan_lock);
  unsigned long count = plans;
  plan = next_plan;
  (void)pthread_mutex_unlock(&plan_lock);
  return count;
}

static bool is_settling(double since_ms) { return since_ms != 0 && now_ms() - since_ms < SETTLING_MS; }

/*
 * Takes the latest plan. The first plan, made when the callback is armed, by the thread that now stands still, refuses.
 * The watch's thread makes the second one, and the callback waits for that as long as the first one allows, once: a
 * process can fill its heap as it starts.
 */
static bool take_plan(void) {
  double called_ms = now_ms();
  unsigned long count;
  while ((count = copy_plan()) == 1 && !is_settling(last_refusal_ms) && now_ms() - called_ms < plan.hold_ms)
    (void)poll(NULL, 0, PLAN_PAUSE_MS);
  return count > 0;
}

/* ---- the line ---------------------------------------------------------------------------------------------------- */

/*
 * Writes a log line to stderr's descriptor, because the event loop has stopped. Does not wait for a full pipe whose
 * reader stands still. (V8's own lines would wait there, but that is not this library's doing.)
 */
static void write_line(size_t limit_bytes, const char *what) {
  static char line[PATH_MAX * 2 + 1024];
  if (!plan.writes_line) return;
  int length = snprintf(line, sizeof line, "cpu-memory-monitor: the heap has reached V8's limit of %zu MB: %s\n",
                        limit_bytes >> 20, what);
  if (length < 0) return;
  size_t bytes = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
  struct pollfd target = {.fd = STDERR_FILENO, .events = POLLOUT};
  if (poll(&target, 1, 0) <= 0) return;
  ssize_t written = write(STDERR_FILENO, line, bytes);
  (void)written;
}

/* Writes a line with "<directory>/heap-limit-memory-<pid>-<ms>" and the extensions of the files, at least one. */
static void write_files_line(const char *what, bool has_profile, bool has_snapshot) {
  static char text[PATH_MAX + 256];
  const char *extensions = has_profile && has_snapshot ? ".heapprofile and .heapsnapshot"
                           : has_profile               ? ".heapprofile"
                                                       : ".heapsnapshot";
  (void)snprintf(text, sizeof text, "%s %s/heap-limit-memory-%d-%.0f%s", what, plan.directory, (int)armed.pid,
                 child.started_at_ms, extensions);
  write_line(child.limit_bytes, text);
}

static void write_failure_line(const char *what, int number, unsigned forks) {
  char text[128];
  (void)snprintf(text, sizeof text, "no dump: %s %d at fork %u", what, number, forks);
  write_line(child.limit_bytes, text);
}

/* ---- the child --------------------------------------------------------------------------------------------------- */

/*
 * Until the job runs, the child cannot open a file: it may still be in the application's code, which may write to a
 * path, and V8 may end it for want of memory, with a diagnostic report (--report-on-fatalerror) beside that of the
 * process. Descriptors that are open stay usable.
 */
static struct rlimit descriptors;

static void forbid_files(void) {
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return;
  struct rlimit none = {.rlim_cur = 0, .rlim_max = descriptors.rlim_max};
  (void)setrlimit(RLIMIT_NOFILE, &none);
}

static void run_job(void *isolate, void *data) {
  (void)isolate;
  (void)data;
  (void)setrlimit(RLIMIT_NOFILE, &descriptors);
  armed.job(&child);
}

/* The parent waits until the child has collected, so until then the child keeps the parent's priority. */
void heap_limit_report(const struct heap_limit_child *of, enum heap_limit_report report) {
  char character = (char)report;
  ssize_t written = write(of->forked.result_descriptor, &character, 1);
  (void)written;
  if (report != HEAP_LIMIT_COLLECTED) return;
  int niceness = nice(plan.options.niceness);
  (void)niceness;
}

static size_t raised(size_t limit_bytes) {
  return limit_bytes + (limit_bytes > LEAST_RAISE_BYTES ? limit_bytes : LEAST_RAISE_BYTES);
}

/* ---- the parent -------------------------------------------------------------------------------------------------- */

enum progress {
  /* Neither past the collection nor ended when the time was over. */
  AT_WORK,
  PAST_COLLECTION,
  DONE,
  /* Ended, but another fork may succeed. */
  STUCK,
  /* Ended in a way that another fork would not change. */
  LOST,
  /* Ended after its report: what it had written until then is there, and another fork would write it twice. */
  CUT_SHORT,
  /* Found the budget spent, and ended. */
  SPENT
};

static enum progress judge(int status) {
  if (WIFEXITED(status)) {
    if (WEXITSTATUS(status) == 0) return DONE;
    return WEXITSTATUS(status) == CHILD_EXIT_WAITED_FOR_THREAD ? STUCK : LOST;
  }
  switch (WTERMSIG(status)) {
    case SIGSEGV:
    case SIGBUS:
    case SIGABRT:
    case SIGILL:
    case SIGTRAP: return STUCK;
    default: return LOST;
  }
}

/* Reaps the child: its pipe ends a moment before that is possible. */
static enum progress reap(pid_t pid, double until_ms, int *status) {
  for (;;) {
    pid_t ended = waitpid(pid, status, WNOHANG);
    if (ended == pid) return judge(*status);
    /* ECHILD: another part of the process has reaped the child. How it ended is not known. */
    if (ended < 0 && errno != EINTR) return DONE;
    if (now_ms() >= until_ms) return AT_WORK;
    (void)poll(NULL, 0, REAP_PAUSE_MS);
  }
}

/* Reads the child's reports until the child is past its collection, or, where the plan demands it, has ended. */
static enum progress follow(double until_ms, int *status) {
  bool is_past = false;
  bool is_spent = false;
  for (;;) {
    double left_ms = until_ms - now_ms();
    struct pollfd source = {.fd = child.forked.result_descriptor, .events = POLLIN};
    int ready = left_ms > 0 ? poll(&source, 1, (int)left_ms + 1) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return is_past ? PAST_COLLECTION : AT_WORK;

    char reports[64];
    ssize_t length = read(source.fd, reports, sizeof reports);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) {
      enum progress ending = reap(child.forked.pid, until_ms, status);
      if (is_spent && ending != AT_WORK) return SPENT;
      return is_past && (ending == STUCK || ending == LOST) ? CUT_SHORT : ending;
    }
    for (ssize_t at = 0; at < length; at++) {
      switch (reports[at]) {
        case HEAP_LIMIT_COLLECTED: is_past = true; break;
        case HEAP_LIMIT_PROFILE: has_written_profile = true; break;
        case HEAP_LIMIT_SNAPSHOT: has_written_snapshot = true; break;
        case HEAP_LIMIT_SPENT: is_spent = true; break;
        default: break;
      }
    }
    if (is_past && !plan.holds_to_end) return PAST_COLLECTION;
  }
}

static void finish(enum progress progress, int status) {
  bool has_written = has_written_profile || has_written_snapshot;
  /* Past the collection the profile is there, or has failed. */
  bool is_profile_due = progress == AT_WORK ? plan.has_profile : has_written_profile;
  switch (progress) {
    case DONE:
      if (has_written) write_files_line("a forked child has written", has_written_profile, has_written_snapshot);
      else write_line(child.limit_bytes, "no dump: the forked child ended without a report");
      break;
    case AT_WORK:
    case PAST_COLLECTION:
      if (!is_profile_due && !plan.has_snapshot) write_line(child.limit_bytes, "no dump: the forked child could not write its profile");
      else
        write_files_line(plan.holds_to_end ? "the time is over for a forked child that was writing" : "a forked child is writing",
                         is_profile_due, plan.has_snapshot);
      break;
    case CUT_SHORT:
      if (has_written) write_files_line("a forked child ended while it wrote; whole is", has_written_profile, has_written_snapshot);
      else write_line(child.limit_bytes, "no dump: a forked child ended while it wrote");
      break;
    case SPENT: write_line(child.limit_bytes, "no dump: limited: other processes have spent the budget meanwhile"); break;
    case STUCK:
    case LOST:
      if (WIFEXITED(status)) write_failure_line("the forked child ended with code", WEXITSTATUS(status), child.fork);
      else write_failure_line("the forked child ended by signal", WTERMSIG(status), child.fork);
      break;
  }
}

/* Forks and waits. Returns true in the child. */
static bool dump(void) {
  double until_ms = now_ms() + plan.hold_ms;
  /* However short the hold is, and however busy the machine: one fork is made. */
  (void)poll(NULL, 0, SWEEP_MS < plan.hold_ms ? SWEEP_MS : 0);
  struct child_options options = plan.options;
  options.niceness = 0;
  enum progress progress;
  int status = 0;
  has_written_profile = false;
  has_written_snapshot = false;
  child.fork = 0;
  do {
    child.fork++;
    /* Whole ms: the job makes the file names from it as well. */
    child.started_at_ms = (double)(int64_t)read_clock_ms(CLOCK_REALTIME);
    int error = fork_with_heap(&options, &child.forked);
    if (error != 0) {
      write_failure_line("fork failed with errno", error, child.fork);
      return false;
    }
    if (child.forked.pid == 0) {
      forbid_files();
      return true;
    }
    progress = follow(until_ms, &status);
    (void)close(child.forked.result_descriptor);
    pause_free(child.forked.pause);
  } while (progress == STUCK && child.fork < MOST_FORKS && now_ms() < until_ms);
  if (progress == AT_WORK || progress == PAST_COLLECTION) atomic_store(&unreaped, child.forked.pid);
  finish(progress, status);
  return false;
}

static bool is_at_work(pid_t pid) {
  siginfo_t info = {0};
  return pid != 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

/* Why nothing is dumped; NULL if a dump is allowed. */
static const char *refuse(void) {
  if (plan.refusal[0] != '\0') return plan.refusal;
  (void)heap_limit_reap();
  if (atomic_load(&unreaped) != 0) return "the child of an earlier dump is still writing";
  /* The plan's room is that of one child. Where the kernel would kill all processes together, two must not share it. */
  if (!plan.options.first_for_oom_killer && is_at_work(atomic_load(&ordinary_child)))
    return "memory: another child is writing a snapshot";
  return NULL;
}

static size_t near_heap_limit(void *data, size_t limit_bytes, size_t initial_bytes) {
  (void)data;
  (void)initial_bytes;
  /* The child again: a native call from which it has not returned needs more heap. Only its allowance stops it. */
  if (getpid() != armed.pid) return raised(limit_bytes);

  if (is_settling(last_dump_ms) || !take_plan()) return limit_bytes;
  child.limit_bytes = limit_bytes;
  child.reached_at_ms = read_clock_ms(CLOCK_REALTIME);
  child.facts = plan.facts;
  const char *refusal = refuse();
  if (refusal != NULL) {
    static char text[HEAP_LIMIT_REFUSAL_BYTES + 16];
    if (is_settling(last_refusal_ms)) return limit_bytes;
    last_refusal_ms = now_ms();
    (void)snprintf(text, sizeof text, "no dump: %s", refusal);
    write_line(limit_bytes, text);
    return limit_bytes;
  }
  last_dump_ms = now_ms();
  if (!dump()) return limit_bytes;
  request_interrupt(armed.isolate, run_job, NULL);
  return raised(limit_bytes);
}

pid_t heap_limit_reap(void) {
  pid_t pid = atomic_load(&unreaped);
  int status;
  if (pid == 0 || waitpid(pid, &status, WNOHANG) == 0) return 0;
  /* If several threads look, one of them reports it. */
  return atomic_compare_exchange_strong(&unreaped, &pid, 0) ? pid : 0;
}

/* ---- arming ------------------------------------------------------------------------------------------------------ */

const char *heap_limit_arm(void (*job)(const struct heap_limit_child *), unsigned *number) {
  if (armed.isolate != NULL) return "it is armed already";
  if (get_current_isolate == NULL || add_callback == NULL || remove_callback == NULL || request_interrupt == NULL) {
    return "this Node.js does not export the functions of V8 that it needs";
  }
  /* Only the thread that forks exists in the child. On isolates of worker threads Node.js has a callback of its own. */
  if (syscall(SYS_gettid) != getpid()) return "only the main thread can be forked";
  armed.isolate = get_current_isolate();
  armed.pid = getpid();
  armed.job = job;
  last_dump_ms = 0;
  last_refusal_ms = 0;
  /* Only this thread changes it. */
  *number = arming;
  add_callback(armed.isolate, near_heap_limit, NULL);
  return NULL;
}

void heap_limit_disarm(void) {
  if (armed.isolate == NULL) return;
  remove_callback(armed.isolate, near_heap_limit, 0);
  armed.isolate = NULL;
  forget_plans();
}
