#include "daemon_methods/double_fork/daemonize.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <system_error>
#include <thread>

#include "signals/check.h"
#include "signals/children.h"
#include "signals/signal_fd.h"

namespace graceful {
namespace {

namespace fs = std::filesystem;

struct Pipe {
  Pipe() {
    int ends[2];
    Check(pipe2(ends, O_CLOEXEC), "pipe2");
    read_end.Reset(ends[0]);
    write_end.Reset(ends[1]);
  }
  // Everything until the last writer has closed it.
  std::string ReadAll() {
    write_end.Reset();
    std::string text;
    char buffer[4096];
    ssize_t size;
    while ((size = read(read_end.Get(), buffer, sizeof buffer)) > 0) text.append(buffer, size);
    return text;
  }
  UniqueFd read_end;
  UniqueFd write_end;
};

[[noreturn]] void PauseForever() {
  for (;;) pause();
}

std::string Read(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The fields of /proc/PID/status, without what stands around their values.
std::map<std::string, std::string> Status(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::map<std::string, std::string> fields;
  std::string name, value;
  while (std::getline(file, name, ':') && std::getline(file >> std::ws, value)) {
    fields[name] = value;
  }
  return fields;
}

struct Stat {
  char state;
  pid_t parent, group, session;
  int terminal;
};

// /proc/PID/stat, after the name in parentheses.
Stat ReadStat(pid_t pid) {
  const std::string text = Read("/proc/" + std::to_string(pid) + "/stat");
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  Stat stat = {};
  fields >> stat.state >> stat.parent >> stat.group >> stat.session >> stat.terminal;
  return stat;
}

std::map<int, std::string> Descriptors(pid_t pid) {
  std::map<int, std::string> links;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    std::error_code closed_meanwhile;
    const fs::path target = fs::read_symlink(entry.path(), closed_meanwhile);
    if (!closed_meanwhile) links[std::stoi(entry.path().filename())] = target;
  }
  return links;
}

// Root may write and enter everywhere, by its capabilities: gives them up.
void DropCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  Check(syscall(SYS_capset, &header, none), "capset");
}

// The kernel kills this process, or a child of it, where it makes this system call.
void KillAtCall(unsigned number) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {std::size(filter), filter};
  Check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl", "PR_SET_NO_NEW_PRIVS");
  Check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "prctl", "PR_SET_SECCOMP");
}

// A process that daemonizes itself, seen from what started it.
class DaemonizeTest : public testing::Test {
 protected:
  DaemonizeTest() {
    // Daemons of this test become its children, so that it can tell when they have ended.
    Check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl");
    folder_ = fs::path(testing::TempDir()) / ("daemonize." + std::to_string(getpid()));
    fs::create_directory(folder_);
    options_.log_file = folder_ / "log";
  }

  ~DaemonizeTest() override {
    if (daemon_ > 0) kill(daemon_, SIGKILL);
    int status;
    while (waitpid(-1, &status, 0) > 0) {
    }
    fs::remove_all(folder_);
  }

  // Forks the process that the shell would start: it calls `main` and exits with its result.
  template <typename Main>
  void Start(Main main) {
    starter_ = Check(fork(), "fork");
    if (starter_ != 0) return;
    dup2(out_.write_end.Get(), STDOUT_FILENO);
    dup2(err_.write_end.Get(), STDERR_FILENO);
    try {
      _exit(main());
    } catch (const std::exception& error) {
      dprintf(STDERR_FILENO, "threw %s\n", error.what());
      _exit(99);
    }
  }

  // Waits for the starter. That the pipes end as well shows that the daemon let go of them.
  void Finish() {
    end_ = WaitFor(starter_);
    out_text_ = out_.ReadAll();
    err_text_ = err_.ReadAll();
  }

  // Starts a daemon that reports its pid and stays.
  void StartReady() {
    Start([this] {
      Startup startup = Daemonize(options_);
      startup.Ready(std::to_string(getpid()));
      PauseForever();
      return 0;
    });
    Finish();
    ASSERT_TRUE(end_.Cleanly()) << end_.Describe() << ": " << err_text_;
    daemon_ = std::stoi(out_text_);
  }

  // The report's own descriptor is closed an instant after the report arrives.
  void ExpectDescriptors(const std::map<int, std::string>& expected) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (Descriptors(daemon_) != expected && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(Descriptors(daemon_), expected);
  }

  // No process that this test started is left. They are all its children by now.
  static bool NothingRuns() {
    int status;
    return waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD;
  }

  fs::path folder_;
  DaemonOptions options_;
  Pipe out_, err_;
  pid_t starter_ = 0;
  pid_t daemon_ = 0;
  Ended end_ = {};
  std::string out_text_, err_text_;
};

TEST_F(DaemonizeTest, LivesInASessionThatItDoesNotLead) {
  StartReady();
  const Stat stat = ReadStat(daemon_);
  EXPECT_NE(stat.session, getsid(0));
  EXPECT_NE(stat.session, daemon_);
  EXPECT_EQ(stat.group, stat.session);
  EXPECT_EQ(stat.terminal, 0);
  EXPECT_EQ(stat.parent, getpid()) << "the nearest subreaper, this test";
  EXPECT_FALSE(fs::exists("/proc/" + std::to_string(stat.session))) << "its leader has exited";
}

// What the second fork is for: /dev/tty is the controlling terminal, for who has one.
TEST_F(DaemonizeTest, ATerminalThatItOpensDoesNotBecomeItsControllingTerminal) {
  Start([this] {
    Startup startup = Daemonize(options_);
    const UniqueFd master(Check(posix_openpt(O_RDWR | O_NOCTTY), "posix_openpt"));
    Check(unlockpt(master.Get()), "unlockpt");
    const UniqueFd terminal(Check(open(ptsname(master.Get()), O_RDWR), "open", "a terminal"));
    startup.Ready(open("/dev/tty", O_RDWR) == -1 ? std::strerror(errno) : "it is");
    return 0;
  });
  Finish();
  EXPECT_EQ(out_text_, std::string(std::strerror(ENXIO)) + "\n") << err_text_;
}

TEST_F(DaemonizeTest, HasTheFolderAndTheUmaskThatWereAsked) {
  options_.umask = 077;
  options_.working_directory = folder_;
  StartReady();
  EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(daemon_) + "/cwd"), folder_);
  EXPECT_EQ(Status(daemon_)["Umask"], "0077");
}

TEST_F(DaemonizeTest, KeepsNoDescriptorButTheListed) {
  const UniqueFd inherited(Check(open("/dev/zero", O_RDONLY), "open"));
  const UniqueFd kept(Check(open("/dev/full", O_RDONLY), "open"));
  options_.keep = {kept.Get()};
  StartReady();
  const std::string log = options_.log_file;
  ExpectDescriptors({{0, "/dev/null"}, {1, log}, {2, log}, {kept.Get(), "/dev/full"}});
}

TEST_F(DaemonizeTest, WithoutALogItsOutputGoesToDevNullAndItWarns) {
  options_.log_file.clear();
  StartReady();
  EXPECT_EQ(err_text_,
            "daemonize_test: no log file is set: what the daemon prints goes to /dev/null\n");
  ExpectDescriptors({{0, "/dev/null"}, {1, "/dev/null"}, {2, "/dev/null"}});
}

TEST_F(DaemonizeTest, AppendsToTheLogAndPrintsBufferedTextOnce) {
  std::ofstream(options_.log_file) << "before\n";
  Start([this] {
    printf("still in the buffer of stdio\n");
    Startup startup = Daemonize(options_);
    printf("out\n");
    fflush(stdout);
    fprintf(stderr, "err\n");
    startup.Ready("up");
    return 0;
  });
  Finish();
  EXPECT_EQ(out_text_, "still in the buffer of stdio\nup\n");
  EXPECT_EQ(Read(options_.log_file), "before\nout\nerr\n");
}

TEST_F(DaemonizeTest, StandardDescriptorsThatAreClosedDoNotConfuseIt) {
  Start([this] {
    close(STDIN_FILENO);
    close(STDERR_FILENO);
    Startup startup = Daemonize(options_);
    startup.Ready(std::to_string(getpid()));
    PauseForever();
    return 0;
  });
  Finish();
  ASSERT_TRUE(end_.Cleanly());
  daemon_ = std::stoi(out_text_);
  const std::string log = options_.log_file;
  ExpectDescriptors({{0, "/dev/null"}, {1, log}, {2, log}});
}

TEST_F(DaemonizeTest, StartsWithEverySignalAtItsDefault) {
  Start([this] {
    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    SignalFd blocked({SIGUSR1});
    Startup startup = Daemonize(options_);
    startup.Ready(std::to_string(getpid()));
    PauseForever();
    return 0;
  });
  Finish();
  ASSERT_TRUE(end_.Cleanly()) << err_text_;
  daemon_ = std::stoi(out_text_);
  auto status = Status(daemon_);
  for (const char* field : {"SigBlk", "SigIgn", "SigCgt"}) {
    // Bits 31 and 32 are signals that the C library keeps, and lets nobody change.
    EXPECT_EQ(std::stoull(status[field], nullptr, 16) & ~0x1'8000'0000ULL, 0U) << field;
  }
}

TEST_F(DaemonizeTest, AFailureReachesTheStarterWithItsStatus) {
  Start([this] {
    Startup startup = Daemonize(options_);
    startup.Failed(3, "port 80 is in use");
    startup.Failed(4, "said twice");
    return 0;
  });
  Finish();
  EXPECT_EQ(end_.Describe(), "exited with status 3");
  EXPECT_EQ(out_text_, "");
  EXPECT_EQ(err_text_, "daemonize_test: port 80 is in use\n");
  EXPECT_TRUE(NothingRuns());
}

TEST_F(DaemonizeTest, LeavingWithoutAReportIsAFailure) {
  Start([this] {
    Startup startup = Daemonize(options_);
    return 0;
  });
  Finish();
  EXPECT_EQ(end_.Describe(), "exited with status 1");
  EXPECT_EQ(err_text_, "daemonize_test: gave up before it was ready\n");
  EXPECT_TRUE(NothingRuns());
}

TEST_F(DaemonizeTest, AFolderThatCannotBeEnteredIsAFailure) {
  fs::create_directory(folder_ / "private");
  fs::permissions(folder_ / "private", fs::perms(0));
  options_.working_directory = folder_ / "private";
  options_.log_file.clear();
  Start([this] {
    DropCapabilities();
    Startup startup = Daemonize(options_);
    startup.Ready("up");
    return 0;
  });
  Finish();
  EXPECT_EQ(end_.Describe(), "exited with status 1");
  EXPECT_THAT(err_text_, testing::EndsWith("daemonize_test: chdir " + options_.working_directory +
                                           ": Permission denied\n"));
}

TEST_F(DaemonizeTest, TheStarterSaysHowADaemonDied) {
  Start([this] {
    Startup startup = Daemonize(options_);
    // A child keeps the report channel open: the death shows all the same.
    if (fork() == 0) PauseForever();
    raise(SIGKILL);
    return 0;
  });
  Finish();
  EXPECT_EQ(end_.Describe(), "exited with status 1");
  EXPECT_NE(err_text_.find("was killed by SIGKILL before it was ready; see " + options_.log_file),
            std::string::npos)
      << err_text_;
  EXPECT_TRUE(NothingRuns()) << "its child was left";
}

// The channel's end tells it: no pid of a daemon was reported yet.
TEST_F(DaemonizeTest, TheStarterSaysThatItWasGoneBetweenTheForks) {
  Start([this] {
    KillAtCall(SYS_setsid);
    Startup startup = Daemonize(options_);
    return 0;
  });
  Finish();
  EXPECT_EQ(end_.Describe(), "exited with status 1");
  EXPECT_EQ(err_text_, "daemonize_test: the daemon was gone before it was ready; see " +
                           options_.log_file + "\n");
  EXPECT_TRUE(NothingRuns());
}

TEST_F(DaemonizeTest, WhatCannotWorkIsRefusedBeforeAnyFork) {
  options_.log_file = folder_ / "missing" / "log";
  const pid_t self = getpid();
  try {
    Daemonize(options_);
    FAIL() << "did not throw";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.what(),
              "open the log file " + options_.log_file + ": No such file or directory");
  }
  options_.log_file.clear();
  options_.working_directory = folder_ / "missing";
  EXPECT_THROW(Daemonize(options_), std::system_error);
  EXPECT_EQ(getpid(), self);
  EXPECT_TRUE(NothingRuns());
}

TEST_F(DaemonizeTest, RefusesToLeaveThreadsBehind) {
  Pipe stop;
  std::thread other([&] {
    char byte;
    EXPECT_EQ(read(stop.read_end.Get(), &byte, 1), 0);
  });
  EXPECT_THROW(Daemonize(options_), std::logic_error);
  stop.write_end.Reset();
  other.join();
}

// A start that hangs, for as long as nobody closes the test's end of the pipe.
class HangingStartTest : public DaemonizeTest {
 protected:
  // Starts it, and returns when the daemon hangs.
  void StartHanging() {
    Start([this] {
      options_.keep = {hangs_.write_end.Get(), release_.read_end.Get()};
      release_.write_end.Reset();
      Startup startup = Daemonize(options_);
      const pid_t pid = getpid();
      Check(write(hangs_.write_end.Get(), &pid, sizeof pid), "write");
      char byte;
      Check(read(release_.read_end.Get(), &byte, 1), "read");
      try {
        startup.Ready("up");
      } catch (const std::system_error& error) {
        return error.code().value();
      }
      return 0;
    });
    ASSERT_EQ(read(hangs_.read_end.Get(), &daemon_, sizeof daemon_),
              static_cast<ssize_t>(sizeof daemon_));
  }

  Pipe hangs_, release_;
};

TEST_F(HangingStartTest, CtrlCAtTheStarterEndsBoth) {
  StartHanging();
  kill(starter_, SIGINT);
  Finish();
  EXPECT_EQ(end_.Describe(), "was killed by SIGINT");
  EXPECT_EQ(err_text_, "daemonize_test: SIGINT before the daemon was ready: it was ended\n");
  EXPECT_TRUE(NothingRuns());
  daemon_ = 0;
}

TEST_F(HangingStartTest, ADaemonWhoseStarterWasKilledLearnsItWhenItIsReady) {
  StartHanging();
  kill(starter_, SIGKILL);
  Finish();
  release_.write_end.Reset();
  EXPECT_EQ(WaitFor(daemon_).Describe(), "exited with status " + std::to_string(EPIPE));
  daemon_ = 0;
}

TEST_F(HangingStartTest, AStarterThatIgnoresHangupsWaitsOn) {
  signal(SIGHUP, SIG_IGN);  // as nohup does for what it starts
  StartHanging();
  signal(SIGHUP, SIG_DFL);
  kill(starter_, SIGHUP);
  // A starter that did not obey would have it pending, and end the daemon when it reads it.
  while (std::stoull(Status(starter_)["ShdPnd"], nullptr, 16) != 0) std::this_thread::yield();
  release_.write_end.Reset();
  Finish();
  EXPECT_TRUE(end_.Cleanly()) << end_.Describe();
  EXPECT_EQ(out_text_, "up\n");
}

}  // namespace
}  // namespace graceful
