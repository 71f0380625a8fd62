/*
 * Occupies abstract names as another user, by sockets that are no plain ones.
 *
 *   occupies-names UID bound PROGRAM NAME...       the sockets do not listen
 *   occupies-names UID connected PROGRAM NAME...   they are connected instead
 *   occupies-names UID full PROGRAM NAME...        they listen, and have no room for a connection
 *   occupies-names UID handed PROGRAM NAME...      PROGRAM, whose set-user-ID bit makes it run as its owner, keeps the descriptors
 *   occupies-names wait                            PROGRAM: prints "ready", and waits
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct sockaddr_un *to(const char *name, socklen_t *length) {
  static struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path + 1, name, strlen(name));
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
  return &address;
}

static int bound(const char *name) {
  socklen_t length;
  const struct sockaddr_un *address = to(name, &length);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(fd, (const struct sockaddr *)address, length) != 0) exit(2);
  return fd;
}

static void connected(int fd, const char *name) {
  socklen_t length;
  const struct sockaddr_un *address = to(name, &length);
  if (connect(fd, (const struct sockaddr *)address, length) != 0) exit(3);
}

int main(int count, char **arguments) {
  if (count > 4) {
    const char *how = arguments[2];
    char other[32];
    snprintf(other, sizeof other, "other-%d", getpid());
    if (setuid((uid_t)atoi(arguments[1])) != 0) return 4;
    if (listen(bound(other), 1000) != 0) return 5;
    for (int at = 4; at < count; at++) {
      int fd = bound(arguments[at]);
      if (strcmp(how, "connected") == 0) connected(fd, other);
      else if (strcmp(how, "bound") != 0 && listen(fd, 0) != 0) return 5;
      if (strcmp(how, "full") == 0) connected(socket(AF_UNIX, SOCK_STREAM, 0), arguments[at]);
    }
    if (strcmp(how, "handed") == 0) {
      execl(arguments[3], arguments[3], "wait", NULL);
      return 6;
    }
  }
  puts("ready");
  fflush(stdout);
  pause();
  return 0;
}
