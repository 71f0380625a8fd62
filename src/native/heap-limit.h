/* The mechanics of a dump at V8's heap limit. addon.c has the functions for JavaScript. */
#ifndef HEAP_LIMIT_H
#define HEAP_LIMIT_H

#include "fork-helper.h"

#include <limits.h>

/* Longest text for the job, and longest reason for not dumping, bytes. */
#define HEAP_LIMIT_FACTS_BYTES 16384
#define HEAP_LIMIT_REFUSAL_BYTES 512

/*
 * All decisions for the heap limit, made beforehand, because no JavaScript runs when it is reached. JavaScript renews
 * the plan with each memory reading.
 */
struct heap_limit_plan {
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
 * point where JavaScript is allowed, and must not return. Returns NULL, or why the callback could not be armed.
 */
const char *heap_limit_arm(void (*job)(const struct heap_limit_child *));

/* Removes the callback. On the thread that armed it. Does nothing when it is not armed. */
void heap_limit_disarm(void);

/* Replaces the plan. From any thread. */
void heap_limit_prepare(const struct heap_limit_plan *plan);

/*
 * For a process that lived on after its limit was reached: reaps a child that has ended since. Returns its pid, or 0.
 * From any thread.
 */
pid_t heap_limit_reap(void);

/* In the child: reports that it is past its first collection, and lowers its priority to the plan's niceness. */
void heap_limit_report_past_collection(const struct heap_limit_child *child);

#endif
