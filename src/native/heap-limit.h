/* What a process does when V8's heap limit is about to end it: the mechanics. addon.c has what JavaScript sees of it. */
#ifndef HEAP_LIMIT_H
#define HEAP_LIMIT_H

#include "fork-helper.h"

#include <limits.h>

/* Longest text that the job is handed, and longest reason for not dumping, bytes. */
#define HEAP_LIMIT_FACTS_BYTES 16384
#define HEAP_LIMIT_REFUSAL_BYTES 512

/*
 * All decisions, made before the limit is reached: no JavaScript runs when it is. JavaScript renews the plan with each reading of
 * the memory.
 */
struct heap_limit_plan {
  struct child_options options;
  /* How long the process may be held, ms; by the first plan, which refuses: until there is another. */
  unsigned hold_ms;
  /* Hold until the child has ended instead of until it reports that it is past its first collection. */
  bool holds_to_end;
  /* Write the line to stderr. */
  bool writes_line;
  /* Which files the child will write. */
  bool has_profile;
  bool has_snapshot;
  /* Why nothing is dumped; empty when a dump is allowed. */
  char refusal[HEAP_LIMIT_REFUSAL_BYTES];
  /* Where the files go. */
  char directory[PATH_MAX];
  /* For the job, which understands it. */
  char facts[HEAP_LIMIT_FACTS_BYTES];
};

/* What the job in the child is told. */
struct heap_limit_child {
  /* V8's limit for the old generation, bytes. */
  size_t limit_bytes;
  /* Wall clock when V8 called, ms since the epoch. */
  double reached_at_ms;
  /* Wall clock at the fork, ms since the epoch: the name of the files has it. */
  double started_at_ms;
  /* Which fork this is, from 1. */
  unsigned fork;
  const char *facts;
  struct forked forked;
};

/*
 * Arms the callback on the isolate of the calling thread, which must be the main thread. `job` runs in the child, as JavaScript may,
 * and must not return. Returns NULL, or why it could not be armed.
 */
const char *heap_limit_arm(void (*job)(const struct heap_limit_child *));

/* On the thread that armed it. Does nothing when it is not armed. */
void heap_limit_disarm(void);

/* From any thread. */
void heap_limit_prepare(const struct heap_limit_plan *plan);

/*
 * For a process that lived on after its limit was reached. Returns the pid of a child that has ended since, reaped now, or 0. From
 * any thread.
 */
pid_t heap_limit_reap(void);

/* In the child: reports that it is past its first collection, and makes it as nice as the plan says. */
void heap_limit_report_past_collection(const struct heap_limit_child *child);

#endif
