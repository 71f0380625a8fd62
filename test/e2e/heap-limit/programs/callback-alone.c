/*
 * The callback at the heap limit without V8: a process whose heap is never full, and that therefore lives on. Each line of the
 * input is a step; a clock that the steps set stands for the minutes between them. One line of output per step.
 *
 *   arm | disarm
 *   plan <arming> <refusal, or ->      another plan, for that arming
 *   kill-group                         from now on plans for a cgroup that the kernel kills as one
 *   hold <ms>                          from now on plans that hold the process for that long
 *   busy                               from now on each pause of the callback takes a second longer
 *   limit                              V8 calls: "dumped" or "declined"
 *   wait <seconds>
 *   end-child                          the child of the latest dump, which works until then, ends
 *   ordinary-child | end-ordinary      an ordinary forked child begins, ends
 *   reap                               "reaped" or "nothing"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double clock_offset_s;

static int read_clock(clockid_t clock, struct timespec *now) {
  int result = clock_gettime(clock, now);
  now->tv_sec += (time_t)clock_offset_s;
  return result;
}

static bool is_busy;

static int wait_for(struct pollfd *descriptors, nfds_t count, int time_ms) {
  /* A pause of the callback is a call without a descriptor. */
  if (count == 0 && is_busy) clock_offset_s++;
  return poll(descriptors, count, time_ms);
}

#define clock_gettime read_clock
#define poll wait_for
#include "heap-limit.c"
#undef poll
#undef clock_gettime

static near_heap_limit_callback *registered;
static pid_t latest;
static pid_t ordinary;
static int forks;

void *get_current_isolate(void) { return &registered; }
void add_callback(void *isolate, near_heap_limit_callback *callback, void *data) {
  (void)isolate;
  (void)data;
  registered = callback;
}
void remove_callback(void *isolate, near_heap_limit_callback *callback, size_t limit_bytes) {
  (void)isolate;
  (void)callback;
  (void)limit_bytes;
  registered = NULL;
}
void request_interrupt(void *isolate, interrupt_callback *callback, void *data) { callback(isolate, data); }

static pid_t fork_worker(void) {
  pid_t pid = fork();
  if (pid == 0) alarm(60);
  return pid;
}

int fork_with_heap(const struct child_options *options, struct forked *forked) {
  (void)options;
  int ends[2];
  if (pipe(ends) != 0) return errno;
  forks++;
  forked->pid = fork_worker();
  forked->result_descriptor = ends[forked->pid == 0 ? 1 : 0];
  (void)close(ends[forked->pid == 0 ? 0 : 1]);
  if (forked->pid != 0) latest = forked->pid;
  return 0;
}

void pause_free(const struct pause *pause) { (void)pause; }

static void job(const struct heap_limit_child *of) {
  heap_limit_report(of, HEAP_LIMIT_COLLECTED);
  for (;;) (void)pause();
}

static void end(pid_t pid) {
  siginfo_t info;
  (void)kill(pid, SIGKILL);
  (void)waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
}

/* The callback's own lines come before this line. */
static void reach_limit(void) {
  int before = forks;
  if (registered == NULL) {
    puts("not called");
    return;
  }
  (void)registered(NULL, (size_t)100 << 20, (size_t)100 << 20);
  puts(forks > before ? "dumped" : "declined");
}

int main(void) {
  char text[256];
  char word[256];
  unsigned number = 0;
  unsigned hold_ms = 500;
  bool is_killed_as_one = false;
  (void)setvbuf(stdout, NULL, _IOLBF, 0);
  (void)dup2(STDOUT_FILENO, STDERR_FILENO);
  while (fgets(text, sizeof text, stdin) != NULL) {
    text[strcspn(text, "\n")] = '\0';
    if (strcmp(text, "arm") == 0) {
      const char *failure = heap_limit_arm(job, &number);
      printf("%s %u\n", failure == NULL ? "armed" : failure, number);
    } else if (strcmp(text, "disarm") == 0) {
      heap_limit_disarm();
      puts("disarmed");
    } else if (sscanf(text, "plan %u %255[^\n]", &number, word) == 2) {
      struct heap_limit_plan next = {.arming = number, .hold_ms = hold_ms, .writes_line = true, .has_snapshot = true};
      next.options.first_for_oom_killer = !is_killed_as_one;
      if (strcmp(word, "-") != 0) (void)snprintf(next.refusal, sizeof next.refusal, "%s", word);
      heap_limit_prepare(&next);
      puts("planned");
    } else if (strcmp(text, "kill-group") == 0) {
      is_killed_as_one = true;
      puts("noted");
    } else if (sscanf(text, "hold %u", &hold_ms) == 1) {
      puts("noted");
    } else if (strcmp(text, "busy") == 0) {
      is_busy = true;
      puts("noted");
    } else if (strcmp(text, "limit") == 0) {
      reach_limit();
    } else if (sscanf(text, "wait %u", &number) == 1) {
      clock_offset_s += number;
      puts("waited");
    } else if (strcmp(text, "end-child") == 0) {
      end(latest);
      puts("ended");
    } else if (strcmp(text, "ordinary-child") == 0) {
      ordinary = fork_worker();
      if (ordinary == 0) for (;;) (void)pause();
      heap_limit_note_child(ordinary);
      puts("begun");
    } else if (strcmp(text, "end-ordinary") == 0) {
      end(ordinary);
      puts("ended");
    } else if (strcmp(text, "reap") == 0) {
      puts(heap_limit_reap() == 0 ? "nothing" : "reaped");
    } else {
      printf("unknown step: %s\n", text);
      return 1;
    }
  }
  for (pid_t pid; (pid = atomic_load(&unreaped)) != 0; (void)waitpid(pid, NULL, 0), atomic_store(&unreaped, 0)) end(pid);
  if (ordinary != 0) end(ordinary);
  return 0;
}
