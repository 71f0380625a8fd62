/*
 * Includes the memory of V8's heaps in a fork(2). V8 marks this memory MADV_DONTFORK, so that child_process.spawn, which forks
 * before it starts the program, does not have to copy the page tables of a large heap. But a child that runs JavaScript needs
 * this memory: without it, the child crashes at the first object it touches. So the marks are cleared before the fork and
 * restored after it. If they were not restored, each later spawn of the application would take as long as a fork of its whole
 * heap.
 *
 * Only the VmFlags of /proc/self/smaps show which mappings have the mark (dc: do not copy on fork). To produce that file the
 * kernel walks over every page of the process, which takes as long as the fork itself. So the file is read in advance: this is
 * the survey, which another thread can make while the main thread works. Between the survey and the fork, mappings come and go.
 * The mark is cleared on every private anonymous mapping that exists at the fork. It is restored on each mapping that had it at
 * the survey and still has the same bounds. A mapping that is newer than the survey stays unmarked, which makes a later spawn a
 * little slower. It is not marked on suspicion: if it is not V8's, children of the application may need it.
 */
#define _GNU_SOURCE
#include "fork-helper.h"
#include "list.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int append(struct mapping_list *list, struct mapping mapping) {
  int error = LIST_RESERVE(list);
  if (error == 0) list->items[list->count++] = mapping;
  return error;
}

/* Reads a hexadecimal number and moves the pointer past it. */
static uintptr_t take_hexadecimal(const char **text) {
  uintptr_t number = 0;
  for (;; (*text)++) {
    char digit = **text;
    if (digit >= '0' && digit <= '9') number = number * 16 + (uintptr_t)(digit - '0');
    else if (digit >= 'a' && digit <= 'f') number = number * 16 + (uintptr_t)(digit - 'a' + 10);
    else return number;
  }
}

enum kind {
  PRIVATE_ANONYMOUS,
  SHARED_WRITABLE,
  OTHER
};

/*
 * Parses the first line of a mapping, such as `7f5c3a000000-7f5c3a021000 rw-p 00000000 00:00 0`, with a path at the end if a
 * file is mapped. Returns false for every other line of /proc/self/smaps, such as `Rss: 4 kB`.
 */
static bool parse_first_line(const char *line, struct mapping *mapping, enum kind *kind) {
  const char *at = line;
  uintptr_t start = take_hexadecimal(&at);
  if (at == line || *at++ != '-') return false;
  uintptr_t end = take_hexadecimal(&at);
  if (strlen(at) < sizeof " rw-p 00000000 00:00 0" - 1) return false;
  char writing = at[2];
  char sharing = at[4];
  const char *file = strchr(at + 6, ' ');
  *mapping = (struct mapping){.start = start, .length = end - start};
  if (sharing == 's' && writing == 'w') *kind = SHARED_WRITABLE;
  else if (sharing == 'p' && file != NULL && strncmp(file, " 00:00 0", 8) == 0) *kind = PRIVATE_ANONYMOUS;
  else *kind = OTHER;
  return true;
}

/*
 * Reads /proc/self/maps or /proc/self/smaps, and calls `take` for each mapping with NULL as `flags`. In smaps, calls `take` a
 * second time for the mapping, with its line of VmFlags as `flags`. Ends at the first error. Returns 0, or an errno.
 */
static int read_mappings(const char *path, int (*take)(struct mapping, enum kind, const char *flags, void *), void *lists) {
  static const char flags_prefix[] = "VmFlags:";
  FILE *file = fopen(path, "re");
  if (file == NULL) return errno;

  struct mapping mapping = {0};
  enum kind kind = OTHER;
  char *line = NULL;
  size_t line_capacity = 0;
  int error = 0;
  while (error == 0 && getline(&line, &line_capacity, file) != -1) {
    if (parse_first_line(line, &mapping, &kind)) error = take(mapping, kind, NULL, lists);
    else if (strncmp(line, flags_prefix, sizeof flags_prefix - 1) == 0) error = take(mapping, kind, line, lists);
  }
  if (error == 0 && ferror(file)) error = EIO;
  free(line);
  (void)fclose(file);
  return error;
}

struct marks {
  struct mapping_list marked;
  bool flags_seen;
};

static int take_marked(struct mapping mapping, enum kind kind, const char *flags, void *lists) {
  struct marks *marks = lists;
  if (flags == NULL) return 0;
  marks->flags_seen = true;
  return kind == PRIVATE_ANONYMOUS && strstr(flags, " dc") != NULL ? append(&marks->marked, mapping) : 0;
}

static int find_marked(struct mapping_list *marked) {
  struct marks marks = {0};
  int error = read_mappings("/proc/self/smaps", take_marked, &marks);
  /* Without VmFlags, as with some kernels and emulations of one, nothing shows which mappings are marked MADV_DONTFORK. */
  if (error == 0 && !marks.flags_seen) error = ENOTSUP;
  *marked = marks.marked;
  return error;
}

struct present {
  struct mapping_list private_anonymous;
  struct mapping_list *shared_writable;
};

static int take_present(struct mapping mapping, enum kind kind, const char *flags, void *lists) {
  (void)flags;
  struct present *present = lists;
  if (kind == PRIVATE_ANONYMOUS) return append(&present->private_anonymous, mapping);
  return kind == SHARED_WRITABLE ? append(present->shared_writable, mapping) : 0;
}

/* The latest survey of marked mappings, until a fork uses it. The lock is needed because any thread may make the survey. */
static struct {
  pthread_mutex_t lock;
  bool made;
  struct mapping_list marked;
} survey = {.lock = PTHREAD_MUTEX_INITIALIZER};

int mappings_survey(void) {
  struct mapping_list marked = {0};
  int error = find_marked(&marked);
  if (error == 0) {
    (void)pthread_mutex_lock(&survey.lock);
    struct mapping_list outdated = survey.marked;
    survey.marked = marked;
    survey.made = true;
    (void)pthread_mutex_unlock(&survey.lock);
    marked = outdated;
  }
  mappings_free(&marked);
  return error;
}

static bool take_survey(struct mapping_list *marked) {
  (void)pthread_mutex_lock(&survey.lock);
  bool made = survey.made;
  *marked = survey.marked;
  survey.made = false;
  survey.marked = (struct mapping_list){0};
  (void)pthread_mutex_unlock(&survey.lock);
  return made;
}

/* Removes from `list` each mapping that `other` does not have with the same bounds. Both lists are sorted by address. */
static void keep_common(struct mapping_list *list, const struct mapping_list *other) {
  size_t kept = 0;
  size_t at = 0;
  for (size_t index = 0; index < list->count; index++) {
    struct mapping mapping = list->items[index];
    while (at < other->count && other->items[at].start < mapping.start) at++;
    if (at == other->count) break;
    if (other->items[at].start == mapping.start && other->items[at].length == mapping.length) list->items[kept++] = mapping;
  }
  list->count = kept;
}

/* Calls madvise(2) for each mapping. Ignores its errors: another thread may have unmapped the range since it was listed. */
static void advise(const struct mapping_list *list, int advice) {
  for (size_t index = 0; index < list->count; index++) {
    const struct mapping *mapping = &list->items[index];
    (void)madvise((void *)mapping->start, mapping->length, advice);
  }
}

int mappings_let_in(struct mapping_list *marked, struct mapping_list *shared) {
  if (!take_survey(marked)) {
    int error = find_marked(marked);
    if (error != 0) return error;
  }
  struct present present = {.shared_writable = shared};
  int error = read_mappings("/proc/self/maps", take_present, &present);
  if (error == 0) {
    keep_common(marked, &present.private_anonymous);
    advise(&present.private_anonymous, MADV_DOFORK);
  }
  mappings_free(&present.private_anonymous);
  return error;
}

void mappings_leave_out(const struct mapping_list *marked) { advise(marked, MADV_DONTFORK); }

void mappings_free(struct mapping_list *list) {
  free(list->items);
  *list = (struct mapping_list){0};
}
