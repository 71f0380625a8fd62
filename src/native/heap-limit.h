/* The mechanics of a dump at V8's heap limit. addon.c has the functions for JavaScript. */
#ifndef HEAP_LIMIT_H
#define HEAP_LIMIT_H

#include "fork-helper.h"

#include <limits.h>

/* Longest JSON with facts that the parent hands to the code in the child, and longest reason for not dumping, bytes. */
#define HEAP_LIMIT_FACTS_BYTES 16384
#define HEAP_LIMIT_REFUSAL_BYTES 512

/*
 * All decisions for the heap limit, made beforehand, because no JavaScript runs when it is reached. JavaScript renews
 * the plan with each memory reading.
 */
struct heap_limit_plan {
  /* Number of the arming that the plan is for. */
  unsigned arming;
  struct child_options options;
  /* Longest time that the process is held, ms. In the first plan, which refuses: until the second plan. */
  unsigned hold_ms;
  /* Whether the process is held until the child has ended, instead of until the child is past its first collection. */
  bool holds_to_end;
  /* Whether a log line is written to stderr. */
  bool writes_line;
  /* Which files the child will write. */
  bool has_profile;
  bool has_snapshot;
  /* Why nothing is dumped; empty when a dump is allowed. */
  char refusal[HEAP_LIMIT_REFUSAL_BYTES];
  /* Directory of the files. */
  char directory[PATH_MAX];
  /* JSON for the job; not read here. */
  char facts[HEAP_LIMIT_FACTS_BYTES];
};

/* Input of the job in the child. */
struct heap_limit_child {
  /* V8's limit for the old generation, bytes. */
  size_t limit_bytes;
  /* Wall clock when V8 called, ms since the epoch. */
  double reached_at_ms;
  /* Wall clock at the fork, ms since the epoch: part of the file names. */
  double started_at_ms;
  /* Number of this fork, from 1. */
  unsigned fork;
  const char *facts;
  struct forked forked;
};

/*
 * Arms the callback on the isolate of the calling thread, which must be the main thread. `job` runs in the child, at a
 * point where JavaScript is allowed, and must not return. Returns NULL and the number of this arming, or why the
 * callback could not be armed.
 */
const char *heap_limit_arm(void (*job)(const struct heap_limit_child *), unsigned *arming);

/* Removes the callback. On the thread that armed it. Does nothing when it is not armed. */
void heap_limit_disarm(void);

/*
 * Replaces the plan. From any thread. A plan for an earlier arming is ignored: the watch of a monitor that was stopped may
 * still be making one when the next monitor starts.
 */
void heap_limit_prepare(const struct heap_limit_plan *plan);

/*
 * For a process that lived on after its limit was reached: reaps a child that has ended since. Returns its pid, or 0.
 * From any thread.
 */
pid_t heap_limit_reap(void);

/* Reports of the child to its parent, by one character each. */
enum heap_limit_report {
  /* The first collection is over: no other fork is needed. Lowers the child's priority to the plan's niceness. */
  HEAP_LIMIT_COLLECTED = 'c',
  /* A file has its final name. */
  HEAP_LIMIT_PROFILE = 'p',
  HEAP_LIMIT_SNAPSHOT = 's',
  /* The budget has been spent since the plan was made. The child ends without a file. */
  HEAP_LIMIT_SPENT = 'l'
};

/* In the child. */
void heap_limit_report(const struct heap_limit_child *child, enum heap_limit_report report);

/* Notes an ordinary forked child, whose memory counts when the next one is forked at the limit. */
void heap_limit_note_child(pid_t pid);

#endif
