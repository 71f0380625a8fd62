/*
 * The Node-API addon. Its exports to JavaScript are the functions of this directory, and the exit codes of a forked child that
 * did not finish. src/capture/heap/fork/helper.ts describes the exports for callers, with their TypeScript types.
 */
#define _GNU_SOURCE
#include "fork-helper.h"
#include "gc-time.h"
#include "heap-limit.h"

#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void set_number(napi_env env, napi_value object, const char *name, double value) {
  napi_value number;
  if (napi_create_double(env, value, &number) == napi_ok) (void)napi_set_named_property(env, object, name, number);
}

static bool get_number(napi_env env, napi_value object, const char *name, double *value) {
  napi_value number;
  return napi_get_named_property(env, object, name, &number) == napi_ok &&
         napi_get_value_double(env, number, value) == napi_ok;
}

static bool get_boolean(napi_env env, napi_value object, const char *name, bool *value) {
  napi_value boolean;
  return napi_get_named_property(env, object, name, &boolean) == napi_ok &&
         napi_get_value_bool(env, boolean, value) == napi_ok;
}

/* Copies a string property into `text`. Returns false if it is no string or too long: a cut path would name another file. */
static bool get_text(napi_env env, napi_value object, const char *name, char *text, size_t capacity) {
  napi_value string;
  size_t length;
  return napi_get_named_property(env, object, name, &string) == napi_ok &&
         napi_get_value_string_utf8(env, string, NULL, 0, &length) == napi_ok && length < capacity &&
         napi_get_value_string_utf8(env, string, text, capacity, &length) == napi_ok;
}

static napi_value throw_type_error(napi_env env, const char *message) {
  (void)napi_throw_type_error(env, NULL, message);
  return NULL;
}

/*
 * Throws an Error with the negated errno as its property `errno`. The message holds the number and not the name of the error,
 * because C libraries differ in the function that returns the name.
 */
static napi_value throw_errno(napi_env env, const char *action, int error) {
  char text[64];
  int length = snprintf(text, sizeof text, "%s failed with errno %d", action, error);
  napi_value message;
  napi_value exception;
  if (napi_create_string_utf8(env, text, (size_t)length, &message) != napi_ok ||
      napi_create_error(env, NULL, message, &exception) != napi_ok) {
    return NULL;
  }
  set_number(env, exception, "errno", -error);
  (void)napi_throw(env, exception);
  return NULL;
}

/* ---- fork(options, job), isForkedChild() ------------------------------------------------------------------------- */

/* Pid of the process that loaded this addon. A forked child is a copy of this process with another pid. */
static pid_t loaded_by;

/*
 * Returns whether this process is a forked child, which must not carry out requests to the application's main thread. Requests
 * that were queued before the fork are interrupts of V8, and V8 runs them in the child too. There they could fork again, or
 * overwrite a file that the application is writing.
 */
static napi_value is_forked_child(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value is_child;
  return napi_get_boolean(env, getpid() != loaded_by, &is_child) == napi_ok ? is_child : NULL;
}

/* The JavaScript function `pauseMs`. Returns for how long the fork stopped the application's main thread, ms. */
static napi_value read_pause(napi_env env, napi_callback_info info) {
  void *pause;
  napi_value pause_ms;
  if (napi_get_cb_info(env, info, NULL, NULL, NULL, &pause) != napi_ok) return NULL;
  return napi_create_double(env, pause_read_ms(pause), &pause_ms) == napi_ok ? pause_ms : NULL;
}

static bool read_options(napi_env env, napi_value object, struct child_options *options) {
  double allowance;
  double deadline;
  double niceness;
  double ignored_signal;
  bool first_for_oom_killer;
  if (!get_number(env, object, "dataAllowanceBytes", &allowance) || !(allowance >= 0 && allowance < 0x1p53)) return false;
  if (!get_number(env, object, "deadlineSeconds", &deadline) || !(deadline >= 1 && deadline <= 86400)) return false;
  if (!get_number(env, object, "niceness", &niceness) || !(niceness >= 0 && niceness <= 19)) return false;
  if (!get_boolean(env, object, "firstForOomKiller", &first_for_oom_killer)) return false;
  if (!get_number(env, object, "ignoredSignal", &ignored_signal) || !(ignored_signal >= 0 && ignored_signal <= 64)) return false;
  *options = (struct child_options){.data_allowance_bytes = (uint64_t)allowance,
                                    .deadline_seconds = (unsigned)deadline,
                                    .niceness = (int)niceness,
                                    .first_for_oom_killer = first_for_oom_killer,
                                    .ignored_signal = (int)ignored_signal};
  return true;
}

/* Writes the result into the pipe to the parent, which has room for all of it. Returns false if it is no string or too long. */
static bool send_result(napi_env env, napi_value result, int descriptor) {
  static char text[RESULT_CAPACITY_BYTES + 1];
  size_t length;
  if (napi_get_value_string_utf8(env, result, NULL, 0, &length) != napi_ok || length > RESULT_CAPACITY_BYTES) return false;
  if (napi_get_value_string_utf8(env, result, text, sizeof text, &length) != napi_ok) return false;
  (void)!write(descriptor, text, length);
  return true;
}

/*
 * In the child: runs the job, and exits even if the job throws. A return would continue the application's code in this copy of
 * the process. _exit(2) skips exit handlers, and does not flush the copied buffers, which the parent flushes itself.
 */
_Noreturn static void run_job(napi_env env, napi_value job, const struct forked *forked) {
  napi_value undefined;
  napi_value pause_ms;
  napi_value result;
  /* napi_create_function takes a pointer that is not const; read_pause only reads through it. */
  void *pause = (void *)(uintptr_t)forked->pause;
  bool done = napi_get_undefined(env, &undefined) == napi_ok &&
              napi_create_function(env, "pauseMs", NAPI_AUTO_LENGTH, read_pause, pause, &pause_ms) == napi_ok &&
              napi_call_function(env, undefined, job, 1, &pause_ms, &result) == napi_ok &&
              send_result(env, result, forked->result_descriptor);
  _exit(done ? 0 : CHILD_EXIT_JOB_FAILED);
}

static napi_value fork_and_run(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;

  napi_valuetype job_type;
  struct child_options options;
  if (!read_options(env, arguments[0], &options)) {
    return throw_type_error(env, "fork: dataAllowanceBytes, deadlineSeconds (1 to 86400), niceness (0 to 19) and ignoredSignal "
                                 "(0 to 64) must be numbers, firstForOomKiller a boolean");
  }
  if (napi_typeof(env, arguments[1], &job_type) != napi_ok || job_type != napi_function) {
    return throw_type_error(env, "fork: the job must be a function");
  }
  if (getpid() != loaded_by) return throw_type_error(env, "fork: a forked child must not fork again");
  /* fork(2) copies only the calling thread. A child forked from a worker thread could not use the main thread's heap. */
  if (syscall(SYS_gettid) != getpid()) return throw_type_error(env, "fork: only the main thread can fork");

  napi_value result;
  if (napi_create_object(env, &result) != napi_ok) return NULL;
  struct forked forked;
  int error = fork_with_heap(&options, &forked);
  if (error != 0) return throw_errno(env, "fork", error);
  if (forked.pid == 0) run_job(env, arguments[1], &forked);
  heap_limit_note_child(forked.pid);

  set_number(env, result, "pid", forked.pid);
  set_number(env, result, "resultDescriptor", forked.result_descriptor);
  set_number(env, result, "pauseMs", pause_read_ms(forked.pause));
  pause_free(forked.pause);
  return result;
}

/* ---- armHeapLimit(job), prepareHeapLimit(plan), disarmHeapLimit() ------------------------------------------------ */

static struct {
  napi_env env;
  napi_ref job;
} heap_limit;

static napi_value report(napi_env env, napi_callback_info info) {
  static const struct {
    const char *name;
    enum heap_limit_report report;
  } reports[] = {{"collected", HEAP_LIMIT_COLLECTED},
                 {"profile", HEAP_LIMIT_PROFILE},
                 {"snapshot", HEAP_LIMIT_SNAPSHOT},
                 {"spent", HEAP_LIMIT_SPENT},
                 {"unopened", HEAP_LIMIT_UNOPENED}};
  size_t count = 1;
  napi_value argument;
  void *child;
  char name[16];
  size_t length;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, &child) == napi_ok &&
      napi_get_value_string_utf8(env, argument, name, sizeof name, &length) == napi_ok) {
    for (size_t at = 0; at < sizeof reports / sizeof reports[0]; at++) {
      if (strcmp(name, reports[at].name) != 0) continue;
      heap_limit_report(child, reports[at].report);
      return NULL;
    }
  }
  return throw_type_error(env, "report: the argument must be 'collected', 'profile', 'snapshot', 'spent' or 'unopened'");
}

static napi_value describe_child(napi_env env, const struct heap_limit_child *child) {
  napi_value about;
  napi_value facts;
  napi_value pause_ms;
  napi_value reporting;
  void *data = (void *)(uintptr_t)child;
  void *pause = (void *)(uintptr_t)child->forked.pause;
  if (napi_create_object(env, &about) != napi_ok ||
      napi_create_string_utf8(env, child->facts, NAPI_AUTO_LENGTH, &facts) != napi_ok ||
      napi_set_named_property(env, about, "facts", facts) != napi_ok ||
      napi_create_function(env, "pauseMs", NAPI_AUTO_LENGTH, read_pause, pause, &pause_ms) != napi_ok ||
      napi_set_named_property(env, about, "pauseMs", pause_ms) != napi_ok ||
      napi_create_function(env, "report", NAPI_AUTO_LENGTH, report, data, &reporting) != napi_ok ||
      napi_set_named_property(env, about, "report", reporting) != napi_ok) {
    return NULL;
  }
  set_number(env, about, "limitBytes", (double)child->limit_bytes);
  set_number(env, about, "reachedAtMs", child->reached_at_ms);
  set_number(env, about, "startedAtMs", child->started_at_ms);
  set_number(env, about, "fork", child->fork);
  return about;
}

/*
 * In the child at the heap limit: runs the job and exits, with code 0 if the job has written a file. The call comes from an
 * interrupt of V8 and not from JavaScript, so no handle scope is open, and this function opens one for the values of Node-API.
 */
_Noreturn static void run_heap_limit_job(const struct heap_limit_child *child) {
  napi_env env = heap_limit.env;
  napi_handle_scope scope;
  napi_value undefined;
  napi_value job;
  napi_value about;
  bool is_written = false;
  bool done = napi_open_handle_scope(env, &scope) == napi_ok && napi_get_undefined(env, &undefined) == napi_ok &&
              napi_get_reference_value(env, heap_limit.job, &job) == napi_ok &&
              (about = describe_child(env, child)) != NULL &&
              napi_call_function(env, undefined, job, 1, &about, &about) == napi_ok &&
              napi_get_value_bool(env, about, &is_written) == napi_ok && is_written;
  _exit(done ? 0 : CHILD_EXIT_JOB_FAILED);
}

static void forget_heap_limit(void *data) {
  (void)data;
  heap_limit_disarm();
}

static napi_value arm_heap_limit(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value job;
  napi_valuetype job_type;
  if (napi_get_cb_info(env, info, &count, &job, NULL, NULL) != napi_ok || napi_typeof(env, job, &job_type) != napi_ok ||
      job_type != napi_function) {
    return throw_type_error(env, "armHeapLimit: the job must be a function");
  }
  unsigned arming;
  const char *failure = heap_limit_arm(run_heap_limit_job, &arming);
  if (failure != NULL) {
    (void)napi_throw_error(env, NULL, failure);
    return NULL;
  }
  heap_limit.env = env;
  if (napi_create_reference(env, job, 1, &heap_limit.job) != napi_ok ||
      napi_add_env_cleanup_hook(env, forget_heap_limit, NULL) != napi_ok) {
    heap_limit_disarm();
    (void)napi_throw_error(env, NULL, "armHeapLimit: Node-API could not keep the job, so no callback is registered");
    return NULL;
  }
  napi_value number;
  return napi_create_uint32(env, arming, &number) == napi_ok ? number : NULL;
}

static napi_value disarm_heap_limit(napi_env env, napi_callback_info info) {
  (void)info;
  if (heap_limit.job == NULL || heap_limit.env != env) return NULL;
  heap_limit_disarm();
  (void)napi_remove_env_cleanup_hook(env, forget_heap_limit, NULL);
  (void)napi_delete_reference(env, heap_limit.job);
  heap_limit.job = NULL;
  return NULL;
}

static bool read_plan(napi_env env, napi_value object, struct heap_limit_plan *plan) {
  napi_value options;
  double hold_ms;
  double arming;
  if (!get_number(env, object, "arming", &arming) || !(arming >= 1 && arming <= UINT_MAX) ||
      napi_get_named_property(env, object, "options", &options) != napi_ok ||
      !read_options(env, options, &plan->options) || !get_number(env, object, "holdMs", &hold_ms) ||
      !(hold_ms >= 1 && hold_ms <= INT_MAX)) {
    return false;
  }
  plan->arming = (unsigned)arming;
  plan->hold_ms = (unsigned)hold_ms;
  return get_boolean(env, object, "holdsToEnd", &plan->holds_to_end) &&
         get_boolean(env, object, "writesLine", &plan->writes_line) &&
         get_boolean(env, object, "hasProfile", &plan->has_profile) &&
         get_boolean(env, object, "hasSnapshot", &plan->has_snapshot) &&
         get_text(env, object, "refusal", plan->refusal, sizeof plan->refusal) &&
         get_text(env, object, "directory", plan->directory, sizeof plan->directory) &&
         get_text(env, object, "facts", plan->facts, sizeof plan->facts);
}

static napi_value prepare_heap_limit(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  struct heap_limit_plan plan;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || !read_plan(env, argument, &plan)) {
    return throw_type_error(env, "prepareHeapLimit: the argument is not a plan, or a text in it is too long");
  }
  heap_limit_prepare(&plan);
  pid_t ended = heap_limit_reap();
  if (ended == 0) return NULL;
  napi_value pid;
  return napi_create_int32(env, ended, &pid) == napi_ok ? pid : NULL;
}

/* ---- watchGc(), unwatchGc(), gcTimeMs() --------------------------------------------------------------------------- */

/* Number of monitors that want garbage collections counted: several can run, for example one for CPU and one for memory. */
static int gc_watchers;

static void forget_gc(void *data) {
  (void)data;
  gc_watchers = 0;
  gc_time_unwatch();
}

static napi_value watch_gc(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value is_watched;
  bool done = gc_watchers > 0 || (gc_time_watch() && napi_add_env_cleanup_hook(env, forget_gc, NULL) == napi_ok);
  if (done) gc_watchers++;
  else gc_time_unwatch();
  return napi_get_boolean(env, done, &is_watched) == napi_ok ? is_watched : NULL;
}

static napi_value unwatch_gc(napi_env env, napi_callback_info info) {
  (void)info;
  if (gc_watchers == 0 || --gc_watchers > 0) return NULL;
  gc_time_unwatch();
  (void)napi_remove_env_cleanup_hook(env, forget_gc, NULL);
  return NULL;
}

static napi_value read_gc_time(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value time;
  return napi_create_double(env, gc_time_ms(), &time) == napi_ok ? time : NULL;
}

/* ---- survey() ---------------------------------------------------------------------------------------------------- */

static napi_value survey(napi_env env, napi_callback_info info) {
  (void)info;
  int error = mappings_survey();
  return error == 0 ? NULL : throw_errno(env, "survey", error);
}

/* ---- wait(pid) --------------------------------------------------------------------------------------------------- */

/*
 * The JavaScript function `wait`: reaps a forked child if it has ended, and never blocks. It waits for that pid only, as libuv
 * does for its own children, so that neither reaps a child of the other. Returns undefined while the child runs, then its exit
 * code, its signal, or `lost` if another waitpid(2) has reaped it (ECHILD). Any thread may call it.
 */
static napi_value wait_for_child(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int32_t pid;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok ||
      napi_get_value_int32(env, argument, &pid) != napi_ok || pid <= 0) {
    return throw_type_error(env, "wait: the pid must be a positive number");
  }
  int status = 0;
  pid_t ended;
  do {
    ended = waitpid(pid, &status, WNOHANG);
  } while (ended < 0 && errno == EINTR);
  if (ended == 0) return NULL;
  if (ended < 0 && errno != ECHILD) return throw_errno(env, "waitpid", errno);

  napi_value result;
  napi_value lost;
  if (napi_create_object(env, &result) != napi_ok) return NULL;
  if (ended > 0 && WIFSIGNALED(status)) set_number(env, result, "signal", WTERMSIG(status));
  else if (ended > 0) set_number(env, result, "code", WEXITSTATUS(status));
  else if (napi_get_boolean(env, true, &lost) == napi_ok) (void)napi_set_named_property(env, result, "lost", lost);
  return result;
}

/* ---- threadsAvailable(wanted) ------------------------------------------------------------------------------------ */

static napi_value count_threads(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  napi_value result;
  uint32_t wanted;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok ||
      napi_get_value_uint32(env, argument, &wanted) != napi_ok || wanted < 1 || wanted > 2048) {
    return throw_type_error(env, "threadsAvailable: wanted must be a number from 1 to 2048");
  }
  return napi_create_uint32(env, threads_available(wanted), &result) == napi_ok ? result : NULL;
}

/* ---- listenAt(name), connectTo(name), isConnected(socket), peerOf(socket), closeSocket(socket) ------------------- */

static void close_held(int *descriptor) {
  if (*descriptor >= 0) (void)close(*descriptor);
  *descriptor = -1;
}

/*
 * Closes a socket when its JavaScript value is garbage collected or its thread ends. Other processes wait with their heap
 * snapshots while a socket says that this process takes one, so the socket must not stay open after the thread's end.
 */
static void forget_socket(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  close_held(data);
  free(data);
}

/* Wraps a socket's descriptor in a value for JavaScript. If no such value can be made, closes the descriptor and throws. */
static napi_value hold_socket(napi_env env, int descriptor) {
  napi_value socket;
  int *held = malloc(sizeof *held);
  if (held != NULL) {
    *held = descriptor;
    if (napi_create_external(env, held, forget_socket, NULL, &socket) == napi_ok) return socket;
    free(held);
  }
  (void)close(descriptor);
  return throw_errno(env, "socket", ENOMEM);
}

static int *get_socket(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  napi_valuetype type;
  void *held;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || napi_typeof(env, argument, &type) != napi_ok ||
      type != napi_external || napi_get_value_external(env, argument, &held) != napi_ok) {
    (void)throw_type_error(env, "the argument must be a socket from listenAt or connectTo");
    return NULL;
  }
  return held;
}

/*
 * Makes the address of an abstract Unix socket from the name that JavaScript passed. In the address a zero byte precedes the
 * name, and none ends it: the length of the address does. Returns false and throws if the name is not valid.
 */
static bool get_address(napi_env env, napi_callback_info info, struct sockaddr_un *address, socklen_t *length) {
  size_t count = 1;
  napi_value argument;
  char name[sizeof address->sun_path];
  size_t bytes;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok ||
      napi_get_value_string_utf8(env, argument, NULL, 0, &bytes) != napi_ok || bytes < 1 || bytes >= sizeof name ||
      napi_get_value_string_utf8(env, argument, name, sizeof name, &bytes) != napi_ok) {
    (void)throw_type_error(env, "the name of a socket must be a string of 1 to 107 bytes");
    return false;
  }
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  memcpy(address->sun_path + 1, name, bytes);
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + bytes);
  return true;
}

/* Opens a Unix socket. Returns -1 and throws if the system refuses. */
static int open_socket(napi_env env) {
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) (void)throw_errno(env, "socket", errno);
  return descriptor;
}

static napi_value listen_at(napi_env env, napi_callback_info info) {
  struct sockaddr_un address;
  socklen_t length;
  int descriptor;
  if (!get_address(env, info, &address, &length) || (descriptor = open_socket(env)) < 0) return NULL;
  /* Connections are never accepted. They wait in the socket's queue, which gets the maximum length that the system allows. */
  if (bind(descriptor, (const struct sockaddr *)&address, length) == 0 && listen(descriptor, INT_MAX) == 0)
    return hold_socket(env, descriptor);
  int error = errno;
  (void)close(descriptor);
  return error == EADDRINUSE ? NULL : throw_errno(env, "bind", error);
}

static napi_value connect_to(napi_env env, napi_callback_info info) {
  struct sockaddr_un address;
  socklen_t length;
  int descriptor;
  if (!get_address(env, info, &address, &length) || (descriptor = open_socket(env)) < 0) return NULL;
  if (connect(descriptor, (const struct sockaddr *)&address, length) == 0) return hold_socket(env, descriptor);
  (void)close(descriptor);
  return NULL;
}

/* Returns whether a connection is open. The other end never sends, so recv(2) fails with EAGAIN while the end is open. */
static napi_value is_connected(napi_env env, napi_callback_info info) {
  const int *held = get_socket(env, info);
  napi_value answer;
  char byte;
  if (held == NULL) return NULL;
  bool is_up = recv(*held, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  return napi_get_boolean(env, is_up, &answer) == napi_ok ? answer : NULL;
}

static napi_value peer_of(napi_env env, napi_callback_info info) {
  const int *held = get_socket(env, info);
  napi_value result;
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (held == NULL) return NULL;
  if (getsockopt(*held, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return throw_errno(env, "getsockopt", errno);
  if (napi_create_object(env, &result) != napi_ok) return NULL;
  set_number(env, result, "pid", peer.pid);
  set_number(env, result, "uid", peer.uid);
  return result;
}

static napi_value close_socket(napi_env env, napi_callback_info info) {
  int *held = get_socket(env, info);
  if (held != NULL) close_held(held);
  return NULL;
}

/* ---- module ------------------------------------------------------------------------------------------------------ */

static napi_value exit_codes(napi_env env) {
  napi_value codes = NULL;
  if (napi_create_object(env, &codes) != napi_ok) return NULL;
  set_number(env, codes, "jobFailed", CHILD_EXIT_JOB_FAILED);
  set_number(env, codes, "notDetached", CHILD_EXIT_NOT_DETACHED);
  set_number(env, codes, "waitedForThread", CHILD_EXIT_WAITED_FOR_THREAD);
  return codes;
}

NAPI_MODULE_INIT() {
  if (loaded_by == 0) loaded_by = getpid();
  const napi_property_descriptor properties[] = {
      {"survey", NULL, survey, NULL, NULL, NULL, napi_enumerable, NULL},
      {"fork", NULL, fork_and_run, NULL, NULL, NULL, napi_enumerable, NULL},
      {"isForkedChild", NULL, is_forked_child, NULL, NULL, NULL, napi_enumerable, NULL},
      {"armHeapLimit", NULL, arm_heap_limit, NULL, NULL, NULL, napi_enumerable, NULL},
      {"prepareHeapLimit", NULL, prepare_heap_limit, NULL, NULL, NULL, napi_enumerable, NULL},
      {"disarmHeapLimit", NULL, disarm_heap_limit, NULL, NULL, NULL, napi_enumerable, NULL},
      {"threadsAvailable", NULL, count_threads, NULL, NULL, NULL, napi_enumerable, NULL},
      {"watchGc", NULL, watch_gc, NULL, NULL, NULL, napi_enumerable, NULL},
      {"unwatchGc", NULL, unwatch_gc, NULL, NULL, NULL, napi_enumerable, NULL},
      {"gcTimeMs", NULL, read_gc_time, NULL, NULL, NULL, napi_enumerable, NULL},
      {"wait", NULL, wait_for_child, NULL, NULL, NULL, napi_enumerable, NULL},
      {"listenAt", NULL, listen_at, NULL, NULL, NULL, napi_enumerable, NULL},
      {"connectTo", NULL, connect_to, NULL, NULL, NULL, napi_enumerable, NULL},
      {"isConnected", NULL, is_connected, NULL, NULL, NULL, napi_enumerable, NULL},
      {"peerOf", NULL, peer_of, NULL, NULL, NULL, napi_enumerable, NULL},
      {"closeSocket", NULL, close_socket, NULL, NULL, NULL, napi_enumerable, NULL},
      {"exitCodes", NULL, NULL, NULL, NULL, exit_codes(env), napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof properties / sizeof properties[0], properties) != napi_ok) return NULL;
  return exports;
}
