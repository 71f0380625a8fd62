/*
 * Makes a forked child harmless. The child is a copy of a running server, and could hold the server's port, answer on its
 * connections, change its files, run its signal handlers, or use up its memory limit. The functions below prevent this. Not
 * only the job is a danger: a snapshot begins with a full garbage collection, which runs the destructors of native objects that
 * the application no longer references but has not closed.
 *
 * This file uses only system calls and memory on the stack: a thread that fork(2) did not copy may have held a lock of the C
 * library, and not every C library frees all its locks in a forked child.
 */
#define _GNU_SOURCE
#include "fork-helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The child's name in `ps -o comm`; at most 15 characters. `ps -o args` still shows the application's arguments. */
static const char process_name[] = "heap-snapshot";

/* Maximum size of the shared memory that the child copies, in total, bytes. The rest becomes read-only in the child. */
#define COPIES_BYTES ((size_t)16 << 20)
/*
 * Maximum size of a small shared mapping, bytes. Small mappings are copied before larger ones, because they are typically ring
 * buffers and indexes, to which native code writes when it closes a resource.
 */
#define SMALL_BYTES ((size_t)1 << 20)

/* A directory entry of getdents64(2), as the kernel writes it. Each C library gives this struct another name. */
struct kernel_dirent {
  uint64_t inode;
  int64_t offset;
  unsigned short record_length;
  unsigned char type;
  char name[];
};

/* Parses the name of an entry of /proc/self/fd. Returns -1 if the name is not a decimal number. */
static int parse_descriptor(const char *text) {
  int number = 0;
  if (*text == '\0') return -1;
  for (; *text != '\0'; text++) {
    if (*text < '0' || *text > '9' || number > (INT_MAX - 9) / 10) return -1;
    number = number * 10 + (*text - '0');
  }
  return number;
}

/*
 * Whether a descriptor refers to a regular file or a block device. Uses the system call instead of fstat(3), which has a symbol
 * version that older versions of glibc lack. The kernel's struct stat and the C library's are the same.
 */
static bool is_file(int descriptor) {
  struct stat status;
  return syscall(SYS_fstat, descriptor, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

/* Makes `descriptor` a duplicate of `harmless`, or closes it if that is not possible. Returns 0, or an errno. */
static int replace(int descriptor, int harmless) {
  while (dup2(harmless, descriptor) < 0) {
    /* dup2 refuses numbers above RLIMIT_NOFILE, which may have been lowered since this descriptor was opened. */
    if (errno == EBADF) return close(descriptor) == 0 ? 0 : errno;
    if (errno != EINTR && errno != EBUSY) return errno;
  }
  return 0;
}

/*
 * Replaces every file descriptor except `kept` by a harmless one. A listening socket that stayed open in the child would hold
 * the port after the application's end. 0 to 2 (stdin, stdout, stderr) are replaced too: a reader of the application's output
 * waits until the last process that holds the pipe has closed it, and V8 prints to stderr when it runs out of memory. Sockets,
 * pipes and terminals are not closed but become /dev/null, because libuv aborts the process when a write to one of its own
 * descriptors fails.
 *
 * Operations on regular files and block devices must fail. A database that the full garbage collection closes (such as one
 * of node:sqlite) asks for locks. On /dev/null it would get each lock, conclude that it is the last user, and remove the
 * write-ahead log of the other users. So these descriptors become one that was opened with O_PATH: it answers EBADF to every
 * operation on a file's content or its locks. Only the file's size can be read, and the size must be large: a database removes,
 * by its path, a journal that is too short to hold an entry. So the file is the running program, which is longer than the
 * header of any journal. "/" would not do, because its size is 6 bytes on some file systems.
 */
static int neutralise_descriptors(int kept) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return errno;
  int dead = open("/proc/self/exe", O_PATH | O_CLOEXEC);
  if (dead < 0) return errno;
  int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return errno;

  _Alignas(struct kernel_dirent) char entries[4096];
  long length;
  while ((length = syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
    for (long at = 0; at < length;) {
      const struct kernel_dirent *entry = (const struct kernel_dirent *)(entries + at);
      at += entry->record_length;
      int descriptor = parse_descriptor(entry->name);
      if (descriptor < 0 || descriptor == kept || descriptor == null || descriptor == dead || descriptor == directory)
        continue;
      int error = replace(descriptor, is_file(descriptor) ? dead : null);
      if (error != 0) return error;
    }
  }
  if (length < 0) return errno;
  (void)close(directory);
  return 0;
}

/* Replaces a mapping that is shared with the parent by a private copy at the same address. Returns false if that fails. */
static bool make_private(const struct mapping *mapping) {
  void *copy = mmap(NULL, mapping->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy == MAP_FAILED) return false;
  /* Not memcpy(3): a mapping may be longer than its file, and a read past the end raises SIGBUS. The copy has zeros there. */
  struct iovec from = {.iov_base = (void *)mapping->start, .iov_len = mapping->length};
  struct iovec to = {.iov_base = copy, .iov_len = mapping->length};
  if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) >= 0 &&
      mremap(copy, mapping->length, mapping->length, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)mapping->start) != MAP_FAILED) {
    return true;
  }
  (void)munmap(copy, mapping->length);
  return false;
}

static void unshare_those(const struct mapping_list *shared, bool small, size_t *left_bytes) {
  for (size_t index = 0; index < shared->count; index++) {
    const struct mapping *mapping = &shared->items[index];
    if ((mapping->length <= SMALL_BYTES) != small) continue;
    if (mapping->length <= *left_bytes && make_private(mapping)) *left_bytes -= mapping->length;
    else (void)mprotect((void *)mapping->start, mapping->length, PROT_READ);
  }
}

/*
 * Makes shared memory private: the child must not change memory that the application sees too (a database's index of its log,
 * libuv's rings of io_uring). Memory that is not copied becomes read-only, and a write to it ends the child by SIGSEGV. At most
 * COPIES_BYTES are copied: reading a sparse mapping allocates its missing pages, which count as the application's memory too.
 */
static void unshare_memory(const struct mapping_list *shared) {
  size_t left_bytes = COPIES_BYTES;
  unshare_those(shared, true, &left_bytes);
  unshare_those(shared, false, &left_bytes);
}

/*
 * Gives each signal its default action, because the application's handlers must not run in the child, and unblocks all signals.
 * The following signals are ignored instead:
 *
 * SIGPIPE and SIGXFSZ are ignored, as everywhere in Node.js: if the parent is gone when the result is written, or a file grows
 * too large, the system call returns an error instead. SIGHUP is ignored because the child may outlive the application and its
 * terminal. The signal that triggers dumps is ignored because the child has the application's command line, so `pkill` sends
 * the signal to the child as well. SIGALRM, by which the kernel ends a late child, is never ignored.
 */
static void reset_signals(int ignored_signal) {
  struct sigaction by_default = {.sa_handler = SIG_DFL};
  /* Fails for SIGKILL, SIGSTOP and the two signals that the C library reserves, which need no change. */
  for (int number = 1; number < NSIG; number++) (void)sigaction(number, &by_default, NULL);

  struct sigaction ignored = {.sa_handler = SIG_IGN};
  (void)sigaction(SIGPIPE, &ignored, NULL);
  (void)sigaction(SIGXFSZ, &ignored, NULL);
  (void)sigaction(SIGHUP, &ignored, NULL);
  if (ignored_signal != 0 && ignored_signal != SIGALRM) (void)sigaction(ignored_signal, &ignored, NULL);

  sigset_t none;
  (void)sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void write_to(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  ssize_t written = write(file, text, strlen(text));
  (void)written;
  (void)close(file);
}

/* Makes the kernel kill this process before all others when memory runs out. Any process may raise its own score for this. */
static void volunteer_for_oom_killer(void) { write_to("/proc/self/oom_score_adj", "1000"); }

static int set_limit(int resource, rlim_t wanted) {
  struct rlimit limit;
  if (getrlimit(resource, &limit) != 0) return errno;
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted) wanted = limit.rlim_max;
  limit.rlim_cur = wanted;
  limit.rlim_max = wanted;
  return setrlimit(resource, &limit) == 0 ? 0 : errno;
}

/*
 * Prevents a core dump, which would contain the application's heap. RLIMIT_CORE does not stop a core dump that is piped to a
 * program (systemd-coredump, apport), so coredump_filter excludes all memory as well. PR_SET_DUMPABLE is not used: it would
 * hide the child from its parent where /proc is mounted with hidepid.
 */
static int leave_no_core(void) {
  write_to("/proc/self/coredump_filter", "0");
  return set_limit(RLIMIT_CORE, 0);
}

/*
 * Reads the size of this process's writable memory, bytes, including the stack, which is small. Reads /proc/self/statm and not
 * /proc/self/status, where the figure comes after a list of the user's groups of any length. Returns 0, or an errno.
 */
static int read_data_bytes(uint64_t *bytes) {
  /* The file has seven numbers of pages: size, resident, shared, text, 0, data with stack, 0. */
  enum { DATA_FIELD = 5 };
  char text[256];
  int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (statm < 0) return errno;
  ssize_t length = read(statm, text, sizeof text - 1);
  int error = length < 0 ? errno : 0;
  (void)close(statm);
  if (error != 0) return error;
  text[length] = '\0';

  const char *at = text;
  for (int field = 0; field < DATA_FIELD; field++) {
    at = strchr(at, ' ');
    if (at == NULL) return ENODATA;
    at++;
  }
  uint64_t pages = 0;
  for (; *at >= '0' && *at <= '9'; at++) pages = pages * 10 + (uint64_t)(*at - '0');
  *bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
  return 0;
}

/*
 * Limits the memory that the child may allocate: to write a snapshot, V8 needs several times the size of the heap. Beyond the
 * allowance, allocations fail and the child ends by itself, before the kernel chooses a process to kill. With memory.oom.group,
 * as Kubernetes sets it, the kernel would kill the whole container. RLIMIT_DATA counts writable address space, used or not, and
 * V8 reserves much that it does not use. So the allowance is added to the address space that the process has already.
 */
static int limit_memory(uint64_t allowance_bytes) {
  uint64_t data_bytes = 0;
  int error = read_data_bytes(&data_bytes);
  return error != 0 ? error : set_limit(RLIMIT_DATA, (rlim_t)(data_bytes + allowance_bytes));
}

static int detach(const struct child_options *options, const struct mapping_list *shared, int kept_descriptor) {
  /*
   * The deadline is set before any step that can hang, for example on a file system that is gone: the kernel then ends the
   * child. The memory limit is set before the child's first mapping, so that it counts the copies of shared memory too.
   */
  reset_signals(options->ignored_signal);
  (void)alarm(options->deadline_seconds);

  int error = neutralise_descriptors(kept_descriptor);
  if (error == 0) error = leave_no_core();
  if (error == 0) error = limit_memory(options->data_allowance_bytes);
  if (error != 0) return error;
  if (options->first_for_oom_killer) volunteer_for_oom_killer();

  unshare_memory(shared);
  (void)prctl(PR_SET_NAME, process_name, 0, 0, 0);
  /* The result is ignored: -1 means an error, which is no reason to end the child, or a niceness of -1. */
  int niceness = nice(options->niceness);
  (void)niceness;
  return 0;
}

void child_begin(const struct child_options *options, const struct call_slot_list *calls,
                 const struct mapping_list *shared, const int pipe_ends[2]) {
  relocations_apply(calls);
  /* Closes the read end first, to free a descriptor: the application may have few left, and `detach` needs three. */
  (void)close(pipe_ends[0]);
  if (detach(options, shared, pipe_ends[1]) != 0) _exit(CHILD_EXIT_NOT_DETACHED);
}
