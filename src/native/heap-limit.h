/* Dumps the heap of a process when it has reached V8's heap limit. JavaScript calls these functions through addon.c. */
#ifndef HEAP_LIMIT_H
#define HEAP_LIMIT_H

#include "fork-helper.h"

#include <limits.h>

/* Capacity of the text `facts` of a plan, bytes, with the terminating zero byte. */
#define HEAP_LIMIT_FACTS_BYTES 16384
/* Capacity of the text `refusal` of a plan, bytes, with the terminating zero byte. */
#define HEAP_LIMIT_REFUSAL_BYTES 512

/*
 * The plan: all decisions about a dump at the heap limit. JavaScript makes them beforehand, because no JavaScript can run when
 * the limit is reached. It renews the plan as the memory use changes.
 */
struct heap_limit_plan {
  /* The number that heap_limit_arm wrote to its argument `arming`. A plan with another number is ignored. */
  unsigned arming;
  struct child_options options;
  /* Maximum time for which the callback stops the process to wait for the child, ms. */
  unsigned hold_ms;
  /* Whether the process is held until the child has ended; otherwise until the end of the child's first garbage collection. */
  bool holds_to_end;
  /* Whether log lines are written to stderr. */
  bool writes_line;
  /* Whether the child is to write a heap profile. */
  bool has_profile;
  /* Whether the child is to write a heap snapshot. */
  bool has_snapshot;
  /* Why no dump may be made; empty if a dump is allowed. */
  char refusal[HEAP_LIMIT_REFUSAL_BYTES];
  /* Absolute path of the directory in which the child writes its files. */
  char directory[PATH_MAX];
  /* JSON text with the input of the job in the child. The native code does not parse it. */
  char facts[HEAP_LIMIT_FACTS_BYTES];
};

/* Input of the job, the function that writes the dump in the child. */
struct heap_limit_child {
  /* V8's limit for the old generation, bytes. */
  size_t limit_bytes;
  /* Wall clock when V8 called the callback, ms since the epoch. */
  double reached_at_ms;
  /* Wall clock at the fork, whole ms since the epoch; part of the file names. */
  double started_at_ms;
  /* Number of this fork for the dump, from 1. After a child that got stuck, another is forked. */
  unsigned fork;
  /* JSON text from the plan. */
  const char *facts;
  struct forked forked;
};

/*
 * Registers the callback for V8's heap limit on the main thread's isolate; must be called on that thread. `job` runs in the
 * child, at a point where JavaScript is allowed, and must not return. Sets `arming` to the number that the plans for this
 * callback must have, and returns NULL; or returns why the callback could not be registered.
 */
const char *heap_limit_arm(void (*job)(const struct heap_limit_child *), unsigned *arming);

/* Removes the callback, and does nothing if there is none. Must be called on the main thread. */
void heap_limit_disarm(void);

/*
 * Replaces the plan. Any thread may call it. A plan for an earlier callback (by its `arming`) is ignored: the watchdog thread
 * of a stopped monitor may still be making a plan when the next monitor starts.
 */
void heap_limit_prepare(const struct heap_limit_plan *plan);

/*
 * For a process that lived on after its heap limit was reached: reaps the child that was forked there, if it has ended. Returns
 * the pid of a reaped child, else 0. Any thread may call it.
 */
pid_t heap_limit_reap(void);

/* Reports that the child at the heap limit sends to its parent, one character each. */
enum heap_limit_report {
  /* The child's first garbage collection is over, so no other fork is needed. From now on the child has the plan's niceness. */
  HEAP_LIMIT_COLLECTED = 'c',
  /* The file with the heap profile is complete and has its final name. */
  HEAP_LIMIT_PROFILE = 'p',
  /* The file with the heap snapshot is complete and has its final name. */
  HEAP_LIMIT_SNAPSHOT = 's',
  /* Other processes have used up the budget of dumps since the plan was made. The child ends without a file. */
  HEAP_LIMIT_SPENT = 'l',
  /* The last file of the dump, the snapshot if there is to be one, could not be created. Comes before HEAP_LIMIT_COLLECTED. */
  HEAP_LIMIT_UNOPENED = 'u'
};

/* In the child: sends a report to the parent. */
void heap_limit_report(const struct heap_limit_child *child, enum heap_limit_report report);

/*
 * Stores the pid of a child that was forked for a snapshot before the heap limit was reached. While it runs, a second child may
 * not fit into memory. So no dump is made at the limit where the kernel kills the whole cgroup when memory runs out.
 */
void heap_limit_note_child(pid_t pid);

#endif
