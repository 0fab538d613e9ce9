#include "CTestSupport.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int pagecache_run_in_fork(int (*body)(void *), void *context, int seconds) {
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    // A crash is the test's to report, not the runtime's to explain at length.
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    signal(SIGILL, SIG_DFL);
    signal(SIGTRAP, SIG_DFL);
    _exit(body(context));
  }
  for (int wait = 0; wait < seconds * 100; wait++) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    struct timespec moment = {0, 10000000};
    nanosleep(&moment, 0);
  }
  kill(child, SIGKILL);
  waitpid(child, 0, 0);
  return -1;
}
