/*
 * V8 ends a process whose heap has reached its limit ("FATAL ERROR: Reached heap limit", "Ineffective mark-compacts
 * near heap limit"). Just before, it calls the near-heap-limit callback, which may raise the limit. The callback in
 * this file does not: it forks, and the child writes a heap profile and a heap snapshot that show what filled the heap.
 *
 * V8 runs the callback on the isolate's thread, inside or right after a garbage collection. It passes the current limit, and
 * the callback returns the new one; a limit that is not higher changes nothing. Inside the callback V8 forbids JavaScript and
 * allocation on its heap. So everything is decided beforehand, in the plan, and this file only makes system calls,
 * allocates small amounts with malloc(3), and waits for a bounded time (with two exceptions, below).
 *
 *   - The fork is made at once, not later with a raised limit: the process might be inside one native call that fills the
 *     added heap too (an array that doubles, JSON.parse of a huge text), and never reach a point where it could fork.
 *   - The parent's limit stays as it is, so V8 ends the parent as it would without this library. With a higher limit
 *     the parent would live on, in a state that no application was tested in.
 *   - The child's limit is raised. The child returns into the code that asked for memory, which runs up to its next loop
 *     iteration or function entry. There V8 runs interrupts, and the interrupt requested here runs the job, which writes the
 *     files. A native call that is under way ends first; the child has nothing left that such a call could damage (child.c).
 *   - The parent is held, for a bounded time, at least until the child has ended its first garbage collection and written its
 *     profile to disk. Until then the child may need a thread of V8 that was not forked (mostly one that sweeps the heap). In
 *     that case it exits with CHILD_EXIT_WAITED_FOR_THREAD, and another fork is needed, which only a living parent can make.
 *
 * Two waits of the parent have no bound, because only the thread that holds a lock could end them:
 *
 *   - The search for the calls to replace (dl_iterate_phdr(3)) waits for a thread that is inside dlopen(3). V8 waits for
 *     the same lock before it ends the process, because it looks up the names in its stack trace (dladdr(3)). So if an
 *     addon's constructor takes 8 s on another thread, the process dies after 8 s even without this callback.
 *   - fork(2) waits for the C library's lock of malloc(3), which threads hold for microseconds, and runs the handlers of
 *     pthread_atfork(3) that the application's native libraries have registered, as each fork of the process does.
 *
 * A timer could end these waits only by ending the process, and by another signal than V8 would.
 *
 * V8 also calls the callback before a last attempt at garbage collection, after which a process can live on. Then the child
 * is an ordinary forked child: it finishes, and is reaped later. Until it has ended, this file forks no other child.
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
 * Pause before the first fork, ms. V8 has just collected garbage, and its threads are still sweeping the heap. A child that is
 * forked meanwhile exits in its own first collection, which would wait for these threads. Without this pause half of all first
 * children ended that way, with the pause none in 16 trials.
 */
#define SWEEP_MS 50
/* Maximum number of forks for one dump. A child that needs a thread that was not forked exits, and the process forks again. */
#define MOST_FORKS 5
/*
 * Minimum time between two dumps, and between two log lines about refused dumps, ms: if the process lives on, V8 can call the
 * callback several times in a row. A dump that becomes possible after a refusal is made at once.
 */
#define SETTLING_MS 60000
/*
 * Minimum by which V8's heap limit is raised in the child, bytes. The job needs a few MB; a native call that is under way may
 * need as much memory as the heap has.
 */
#define LEAST_RAISE_BYTES ((size_t)256 << 20)
/* Interval at which the parent tries to reap a child that has closed its pipe, ms. */
#define REAP_PAUSE_MS 2

/* ---- V8 ---------------------------------------------------------------------------------------------------------- */

/*
 * Declares a C++ function of V8 by its mangled name, which every Node.js from 20 to 26 exports. So no V8 header is needed, and
 * one binary serves all these versions. The reference is weak: it is NULL if the executable does not export the function.
 */
#define EXPORTED_BY_V8(name) __asm__(name) __attribute__((weak, visibility("default")))

typedef size_t near_heap_limit_callback(void *data, size_t current_bytes, size_t initial_bytes);
typedef void interrupt_callback(void *isolate, void *data);

extern void *get_current_isolate(void) EXPORTED_BY_V8("_ZN2v87Isolate10GetCurrentEv");
extern void add_callback(void *isolate, near_heap_limit_callback *callback, void *data)
    EXPORTED_BY_V8("_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_");
/* With a `limit_bytes` of 0, V8's heap limit stays as it is. */
extern void remove_callback(void *isolate, near_heap_limit_callback *callback, size_t limit_bytes)
    EXPORTED_BY_V8("_ZN2v87Isolate27RemoveNearHeapLimitCallbackEPFmPvmmEm");
extern void request_interrupt(void *isolate, interrupt_callback *callback, void *data)
    EXPORTED_BY_V8("_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_");

/* ---- state ------------------------------------------------------------------------------------------------------- */

static struct {
  /* The V8 isolate on which the callback is registered; NULL if none. */
  void *isolate;
  pid_t pid;
  void (*job)(const struct heap_limit_child *);
} armed;

/*
 * Lock of the latest plan. The thread that samples the memory use writes the plan, and the callback copies it. A thread that
 * holds this lock never blocks.
 */
static pthread_mutex_t plan_lock = PTHREAD_MUTEX_INITIALIZER;
/* Whether a plan was received since the callback was armed. */
static bool has_plan;
static struct heap_limit_plan next_plan;
/* Number of the callback's current registration, or, while none is registered, of its next one. The first has the number 1. */
static unsigned arming = 1;

/* The callback's copy of the plan, and the input of its child. Static, because the callback may run with little stack left. */
static struct heap_limit_plan plan;
static struct heap_limit_child child;
/* Whether the child has reported that its heap profile is written. */
static bool has_written_profile;
/* Whether the child has reported that its heap snapshot is written. */
static bool has_written_snapshot;
/* Whether the child has reported that it could not create its last file, the heap snapshot if there is to be one. */
static bool has_unopened;
static double last_dump_ms;
static double last_refusal_ms;

/* Pid of a child that was forked at the heap limit and is still to be reaped; 0 if there is none. */
static _Atomic pid_t unreaped;
/* Pid of the latest child that was forked for a snapshot before the heap limit was reached; 0 before the first. */
static _Atomic pid_t ordinary_child;

void heap_limit_prepare(const struct heap_limit_plan *prepared) {
  (void)pthread_mutex_lock(&plan_lock);
  if (prepared->arming == arming) {
    next_plan = *prepared;
    has_plan = true;
  }
  (void)pthread_mutex_unlock(&plan_lock);
}

static void forget_plans(void) {
  (void)pthread_mutex_lock(&plan_lock);
  has_plan = false;
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

/* Copies the latest plan for the callback. Returns false if there is none. */
static bool copy_plan(void) {
  (void)pthread_mutex_lock(&plan_lock);
  bool is_there = has_plan;
  plan = next_plan;
  (void)pthread_mutex_unlock(&plan_lock);
  return is_there;
}

static bool is_settling(double since_ms) { return since_ms != 0 && now_ms() - since_ms < SETTLING_MS; }

/* ---- log lines --------------------------------------------------------------------------------------------------- */

/*
 * Writes a log line directly to stderr's descriptor, because the event loop has stopped. Omits the line if a write would block,
 * as on a full pipe that nobody reads. (V8's own lines then block the process, with or without this library.)
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

/* Writes a log line with "<directory>/heap-limit-memory-<pid>-<ms>" and the extensions of one or both files. */
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
  (void)snprintf(text, sizeof text, "no dump: %s %d (attempt %u)", what, number, forks);
  write_line(child.limit_bytes, text);
}

/* ---- the child --------------------------------------------------------------------------------------------------- */

/*
 * The limit of open files, which forbid_files sets to 0 in the child and run_job restores. Until the job runs, the child must
 * not open a file: the application's code that is under way may write to a path, and if memory runs out, V8 may write a second
 * diagnostic report (--report-on-fatalerror) beside the parent's. Descriptors that are open stay usable.
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

/*
 * In the child: sends a report to the parent. The child's priority is lowered only when its first garbage collection is over,
 * because the parent waits until then.
 */
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
  /* The waiting time is over. The child is still in its first garbage collection, or has closed its pipe but not yet exited. */
  AT_WORK,
  PAST_COLLECTION,
  DONE,
  /* The child ended before it finished, but another fork may succeed. */
  STUCK,
  /* The child ended before it finished, and the child of another fork would probably end in the same way. */
  LOST,
  /* The child ended after its first collection, but before it finished. No other is forked: it would write the files again. */
  CUT_SHORT,
  /* Other processes had used up the budget of dumps, so the child ended without a file. */
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

/* Waits, at most until `until_ms`, for the end of a child whose pipe has closed. Returns how it ended, or AT_WORK. */
static enum progress reap(pid_t pid, double until_ms, int *status) {
  for (;;) {
    pid_t ended = waitpid(pid, status, WNOHANG);
    if (ended == pid) return judge(*status);
    /* ECHILD: another part of the process has reaped the child. Its exit status is not known, so only its reports count. */
    if (ended < 0 && errno != EINTR) return DONE;
    if (now_ms() >= until_ms) return AT_WORK;
    (void)poll(NULL, 0, REAP_PAUSE_MS);
  }
}

/*
 * Reads the child's reports until the child ends or, without the plan's `holds_to_end`, until its first garbage collection is
 * over; at most until the monotonic time `until_ms`.
 */
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
        case HEAP_LIMIT_UNOPENED: has_unopened = true; break;
        default: break;
      }
    }
    if (is_past && !plan.holds_to_end) return PAST_COLLECTION;
  }
}

/* Writes a log line that there is no dump, because the child could not create its file, or for the reason `otherwise`. */
static void write_no_dump_line(const char *otherwise) {
  static char text[PATH_MAX + 128];
  (void)snprintf(text, sizeof text, "no dump: the forked child could not create its file in %s", plan.directory);
  write_line(child.limit_bytes, has_unopened ? text : otherwise);
}

#define PROFILE_ALONE "a forked child could not create the file for the snapshot, but has written"

static void finish(enum progress progress, int status) {
  bool has_written = has_written_profile || has_written_snapshot;
  /* The child reports its profile before it reports the end of its first collection. If it did not, the profile has failed. */
  bool is_profile_due = progress == AT_WORK && !has_unopened ? plan.has_profile : has_written_profile;
  bool is_snapshot_due = plan.has_snapshot && !has_unopened;
  switch (progress) {
    case DONE:
      if (has_unopened && has_written) write_files_line(PROFILE_ALONE, true, false);
      else if (has_written) write_files_line("a forked child has written", has_written_profile, has_written_snapshot);
      else write_no_dump_line("no dump: the forked child ended and reported no file");
      break;
    case AT_WORK:
    case PAST_COLLECTION:
      if (!is_profile_due && !is_snapshot_due) write_no_dump_line("no dump: the forked child could not write its profile");
      else if (has_unopened) write_files_line(PROFILE_ALONE, true, false);
      else
        write_files_line(plan.holds_to_end ? "a forked child has not finished in time:" : "a forked child is writing",
                         is_profile_due, is_snapshot_due);
      break;
    case CUT_SHORT:
      if (has_written) write_files_line("a forked child ended while writing; complete:", has_written_profile, has_written_snapshot);
      else write_no_dump_line("no dump: a forked child ended while writing");
      break;
    case SPENT: write_line(child.limit_bytes, "no dump: limited: other processes have just used up the budget of dumps"); break;
    case STUCK:
    case LOST:
      if (WIFEXITED(status)) write_failure_line("the forked child ended with code", WEXITSTATUS(status), child.fork);
      else write_failure_line("the forked child ended by signal", WTERMSIG(status), child.fork);
      break;
  }
}

/* Forks a child and waits for its reports. If the child got stuck, forks another. Returns true in a child, else false. */
static bool dump(void) {
  double until_ms = now_ms() + plan.hold_ms;
  /* Lets V8's threads finish sweeping, unless the process may not be held that long. The first fork is made in any case. */
  (void)poll(NULL, 0, SWEEP_MS < plan.hold_ms ? SWEEP_MS : 0);
  struct child_options options = plan.options;
  options.niceness = 0;
  enum progress progress;
  int status = 0;
  has_written_profile = false;
  has_written_snapshot = false;
  has_unopened = false;
  child.fork = 0;
  do {
    child.fork++;
    /* Whole ms, because the file names contain this time, and the log line must name the files as the job does. */
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

/* Returns why no dump is made, or NULL if a dump is allowed. */
static const char *refuse(void) {
  if (plan.refusal[0] != '\0') return plan.refusal;
  (void)heap_limit_reap();
  if (atomic_load(&unreaped) != 0) return "the child of an earlier dump is still writing";
  /*
   * The plan's memory allowance is for one child. Where the kernel, when memory runs out, kills all processes of the cgroup
   * together (memory.oom.group), no child is first for the OOM killer, and two children must not share the allowance.
   */
  if (!plan.options.first_for_oom_killer && is_at_work(atomic_load(&ordinary_child)))
    return "memory: another forked child is writing a snapshot, and there may not be enough for two";
  return NULL;
}

static size_t near_heap_limit(void *data, size_t limit_bytes, size_t initial_bytes) {
  (void)data;
  (void)initial_bytes;
  /* In the child: a native call under way needs even more heap. Raises the limit again. Only the memory allowance ends this. */
  if (getpid() != armed.pid) return raised(limit_bytes);

  if (is_settling(last_dump_ms) || !copy_plan()) return limit_bytes;
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
  /* If several threads call this function, only one of them returns the pid. */
  return atomic_compare_exchange_strong(&unreaped, &pid, 0) ? pid : 0;
}

/* ---- arming ------------------------------------------------------------------------------------------------------ */

const char *heap_limit_arm(void (*job)(const struct heap_limit_child *), unsigned *number) {
  if (armed.isolate != NULL) return "the callback for V8's heap limit is registered already";
  if (get_current_isolate == NULL || add_callback == NULL || remove_callback == NULL || request_interrupt == NULL) {
    return "this Node.js does not export the functions of V8 that the fork helper needs";
  }
  /* fork(2) copies only the calling thread. For the heap limits of worker threads, Node.js has a callback of its own. */
  if (syscall(SYS_gettid) != getpid()) return "only the main thread can fork the process";
  armed.isolate = get_current_isolate();
  armed.pid = getpid();
  armed.job = job;
  last_dump_ms = 0;
  last_refusal_ms = 0;
  /* Read without the lock, because only this thread changes it. */
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
