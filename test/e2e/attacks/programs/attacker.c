/*
 * What another user of the machine does to a directory into which a service writes.
 *
 *   attacker swap DIRECTORY SUFFIX own|link|fifo|pipe appears|beside|exchange|MS [TARGET]
 *   attacker take DIRECTORY SUFFIX NAMES
 *   attacker seize DIRECTORY SUFFIX -
 *   attacker flip DIRECTORY NAME TARGET
 *
 * swap  puts something else in the place of each file whose name ends in SUFFIX: a file of the attacker's own, a symlink to TARGET,
 *       a FIFO without a reader, a FIFO that is read. When: as soon as the file appears, as soon as a .heapprofile stands beside it,
 *       MS milliseconds after it appeared, or over and over, there and back, as long as it exists.
 * take  creates a file at the final name, and at the next NAMES - 1 that a dump may take, as soon as a .partial appears.
 * seize creates a file at the name of each artefact whose .json appears, at the next two, and at that of its .partial, and creates the
 *       .json itself in the moment in which its name is free. It does not sleep.
 * flip  replaces the directory NAME by a symlink to TARGET as soon as it exists.
 *
 * It prints "ready", goes on until its stdin ends, and prints what it did as JSON: `tries`, `hits`, and the `bytes` that it got to
 * read.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_OWN 512
#define LONGEST 8192

static const char *directory, *kind, *when, *target;
static int own[MAX_OWN], owned, serial;
static long tries, hits, bytes;

static int is_over(void) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  return poll(&input, 1, 0) > 0;
}

static void pause_us(long us) {
  struct timespec wait = {us / 1000000, us % 1000000 * 1000};
  nanosleep(&wait, NULL);
}

static int ends_in(const char *name, const char *suffix) {
  size_t length = strlen(name), tail = strlen(suffix);
  return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

static void drain(void) {
  static char chunk[1 << 16];
  for (int i = 0; i < owned && strcmp(kind, "pipe") == 0; i++)
    for (ssize_t got; (got = read(own[i], chunk, sizeof chunk)) > 0;) bytes += got;
}

/* Makes the thing that is to take the file's place. */
static void prepare(char *path) {
  snprintf(path, LONGEST, "%s/.mine-%d-%d", directory, getpid(), serial++);
  if (strcmp(kind, "link") == 0) {
    if (symlink(target, path) != 0) exit(3);
    return;
  }
  int fd;
  if (strcmp(kind, "own") == 0) {
    fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0666);
    if (fd < 0 || fchmod(fd, 0666) != 0) exit(4);
  } else {
    if (mkfifo(path, 0666) != 0 || chmod(path, 0666) != 0) exit(5);
    fd = strcmp(kind, "pipe") == 0 ? open(path, O_RDONLY | O_NONBLOCK) : -1;
  }
  if (fd >= 0 && owned < MAX_OWN) own[owned++] = fd;
}

static void replace(const char *path) {
  static char mine[LONGEST];
  prepare(mine);
  if (strcmp(when, "exchange") != 0) {
    tries++;
    if (rename(mine, path) == 0) hits++;
    return;
  }
  for (int round = 0; round < 200000 && !is_over(); round++) {
    tries++;
    if (renameat2(AT_FDCWD, mine, AT_FDCWD, path, RENAME_EXCHANGE) == 0) hits++;
    else if (errno == ENOENT) break;
    drain();
    pause_us(rand() % 200);
  }
}

static void on_swap(const char *name, const char *suffix) {
  static char path[LONGEST];
  if (strcmp(when, "beside") == 0) {
    const char *profile = ".heapprofile";
    if (!ends_in(name, profile)) return;
    int base = (int)(strlen(name) - strlen(profile));
    snprintf(path, LONGEST, "%s/%.*s%s", directory, base, name, suffix);
  } else {
    if (!ends_in(name, suffix) || name[0] == '.') return;
    snprintf(path, LONGEST, "%s/%s", directory, name);
    if (atoi(when) > 0) pause_us(atol(when) * 1000);
  }
  replace(path);
}

static void create(const char *path) {
  int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
  tries++;
  if (fd < 0) return;
  if (write(fd, "mine\n", 5) == 5) hits++;
  close(fd);
}

static void on_take(const char *name, const char *suffix, int names) {
  static char path[LONGEST];
  const char *partial = ".partial";
  if (!ends_in(name, suffix) || name[0] == '.') return;
  size_t length = strlen(name) - strlen(partial);
  const char *extension = memrchr(name, '.', length);
  snprintf(path, LONGEST, "%s/%.*s", directory, (int)length, name);
  create(path);
  for (int n = 2; n <= names; n++) {
    int tail = (int)(name + length - extension);
    snprintf(path, LONGEST, "%s/%.*s-%d%.*s", directory, (int)(extension - name), name, n, tail, extension);
    create(path);
  }
}

#define SEEN 4

static char seen[SEEN][LONGEST];

static void on_seize(const char *name, const char *suffix) {
  static char path[LONGEST];
  static int count;
  int length = (int)(strlen(name) - strlen(suffix));
  if (!ends_in(name, suffix) || name[0] == '.') return;
  snprintf(path, LONGEST, "%s/%.*s", directory, length, name);
  create(path);
  snprintf(path, LONGEST, "%s/%.*s.partial", directory, length, name);
  create(path);
  const char *extension = memrchr(name, '.', (size_t)length);
  int base = (int)(extension - name), tail = length - base;
  for (int n = 2; n <= 3; n++) {
    snprintf(path, LONGEST, "%s/%.*s-%d%.*s", directory, base, name, n, tail, extension);
    create(path);
  }
  snprintf(seen[count++ % SEEN], LONGEST, "%s/%s", directory, name);
}

static void flip(const char *name) {
  static char path[LONGEST], away[LONGEST];
  snprintf(path, LONGEST, "%s/%s", directory, name);
  for (long spin = 0; spin % 256 != 0 || !is_over(); spin++) {
    struct stat stats;
    snprintf(away, LONGEST, "%s/.away-%d-%d", directory, getpid(), serial);
    if (lstat(path, &stats) != 0 || !S_ISDIR(stats.st_mode)) continue;
    tries++;
    if (rename(path, away) != 0) continue;
    serial++;
    if (symlink(target, path) == 0) hits++;
  }
}

static void watch(char **argv) {
  int events = inotify_init1(IN_NONBLOCK);
  if (events < 0 || inotify_add_watch(events, directory, IN_CREATE | IN_MOVED_TO) < 0) exit(6);
  puts("ready");
  fflush(stdout);
  struct pollfd both[2] = {{.fd = 0, .events = POLLIN}, {.fd = events, .events = POLLIN}};
  while (!is_over()) {
    _Alignas(struct inotify_event) static char buffer[1 << 16];
    int is_awake = strcmp(argv[1], "seize") == 0;
    for (int i = 0; is_awake && i < SEEN && seen[i][0] != 0; i++) create(seen[i]);
    poll(both, 2, is_awake ? 0 : owned > 0 ? 5 : -1);
    drain();
    ssize_t got = read(events, buffer, sizeof buffer);
    for (char *at = buffer; got > 0 && at < buffer + got;) {
      struct inotify_event *event = (struct inotify_event *)at;
      int is_new = event->len > 0 && (event->mask & IN_CREATE) != 0;
      int is_beside = event->len > 0 && strcmp(when, "beside") == 0;
      if (strcmp(argv[1], "swap") == 0 && (is_new || is_beside)) on_swap(event->name, argv[3]);
      if (strcmp(argv[1], "take") == 0 && is_new) on_take(event->name, argv[3], atoi(argv[4]));
      if (strcmp(argv[1], "seize") == 0 && is_new) on_seize(event->name, argv[3]);
      at += sizeof *event + event->len;
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  umask(0);
  directory = argv[2];
  kind = argv[4];
  srand((unsigned)getpid());
  if (strcmp(argv[1], "flip") == 0) {
    target = argv[4];
    puts("ready");
    fflush(stdout);
    flip(argv[3]);
  } else {
    when = argc > 5 ? argv[5] : "";
    target = argc > 6 ? argv[6] : "";
    watch(argv);
  }
  for (int i = 0; i < owned; i++) {
    struct stat stats;
    if (fstat(own[i], &stats) == 0 && S_ISREG(stats.st_mode)) bytes += stats.st_size;
  }
  drain();
  /* Whoever waits at a FIFO of ours for a reader is let go. */
  DIR *entries = opendir(directory);
  for (struct dirent *entry; entries && (entry = readdir(entries));)
    if (entry->d_type == DT_FIFO) openat(dirfd(entries), entry->d_name, O_RDONLY | O_NONBLOCK);
  printf("{\"tries\":%ld,\"hits\":%ld,\"bytes\":%ld}\n", tries, hits, bytes);
  return 0;
}
