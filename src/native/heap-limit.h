/* Dumps the heap when it has reached V8's limit. addon.c exports these functions to JavaScript. */
#ifndef HEAP_LIMIT_H
#define HEAP_LIMIT_H

#include "fork-helper.h"

#include <limits.h>

/* Sizes of the texts `facts` and `refusal` of a plan, bytes, the final 0 included. */
#define HEAP_LIMIT_FACTS_BYTES 16384
#define HEAP_LIMIT_REFUSAL_BYTES 512

/*
 * All decisions about a dump at the heap limit. They are made beforehand, because no JavaScript can run when the limit is
 * reached. JavaScript makes a new plan with each memory reading.
 */
struct heap_limit_plan {
  /* The number that heap_limit_arm returned in `arming`. A plan with another number is ignored. */
  unsigned arming;
  struct child_options options;
  /* Maximum time for which the callback stops the process to wait for the child (in the first plan, for the second plan), ms. */
  unsigned hold_ms;
  /* Whether the process is held until the child has ended, not only until the end of the child's first collection. */
  bool holds_to_end;
  /* Whether log lines are written to stderr. */
  bool writes_line;
  /* Which files the child will write. */
  bool has_profile;
  bool has_snapshot;
  /* Why no dump may be made; empty if a dump is allowed. */
  char refusal[HEAP_LIMIT_REFUSAL_BYTES];
  /* Where the child writes its files. */
  char directory[PATH_MAX];
  /* JSON that the job in the child parses; the native code does not. */
  char facts[HEAP_LIMIT_FACTS_BYTES];
};

/* Input of the job in the child. */
struct heap_limit_child {
  /* V8's limit for the old generation, bytes. */
  size_t limit_bytes;
  /* Wall clock when V8 called the callback, ms since the epoch. */
  double reached_at_ms;
  /* Wall clock at the fork, ms since the epoch: part of the file names. */
  double started_at_ms;
  /* Number of this fork, from 1: a child that got stuck is followed by another. */
  unsigned fork;
  const char *facts;
  struct forked forked;
};

/*
 * Registers the callback for V8's heap limit on the main thread's isolate; must be called on that thread. `job` runs in the
 * child, at a point where JavaScript is allowed, and must not return. Sets `arming` to how many times this has been done, and
 * returns NULL; or returns why the callback could not be registered.
 */
const char *heap_limit_arm(void (*job)(const struct heap_limit_child *), unsigned *arming);

/* Removes the callback, and does nothing if there is none. Must be called on the main thread. */
void heap_limit_disarm(void);

/*
 * Replaces the plan. Any thread may call it. A plan with the number of an earlier arming is ignored: the watchdog thread of a
 * stopped monitor may still be making a plan when the next monitor starts.
 */
void heap_limit_prepare(const struct heap_limit_plan *plan);

/*
 * For a process that lived on after its heap limit was reached: reaps the child of that dump if it has ended. Returns its pid,
 * or 0. Any thread may call it.
 */
pid_t heap_limit_reap(void);

/* Reports of the child to its parent, by one character each. */
enum heap_limit_report {
  /* The child's first collection is over, so no other fork is needed. Lowers the child's priority to the plan's niceness. */
  HEAP_LIMIT_COLLECTED = 'c',
  /* A file has its final name. */
  HEAP_LIMIT_PROFILE = 'p',
  HEAP_LIMIT_SNAPSHOT = 's',
  /* Other processes have spent the budget of dumps since the plan was made. The child ends without a file. */
  HEAP_LIMIT_SPENT = 'l'
};

/* Sends a report to the parent. Called in the child. */
void heap_limit_report(const struct heap_limit_child *child, enum heap_limit_report report);

/* Remembers a child that was forked for a snapshot before the limit was reached: both children may not fit into memory. */
void heap_limit_note_child(pid_t pid);

#endif
