#include "daemon_methods/pid_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <vector>

#include "signals/check.h"
#include "signals/children.h"

namespace graceful {
namespace {

namespace fs = std::filesystem;

std::string Read(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void Write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

// Forks a child that runs `body` and exits with what it returns.
template <typename Body>
pid_t Fork(Body body) {
  const pid_t pid = Check(fork(), "fork");
  if (pid != 0) return pid;
  try {
    _exit(body());
  } catch (const std::exception& error) {
    dprintf(STDERR_FILENO, "a child threw: %s\n", error.what());
    _exit(99);
  }
}

// Root may write and enter everywhere, by its capabilities: gives them up.
void DropCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  Check(syscall(SYS_capset, &header, none), "capset");
}

class PidFileTest : public testing::Test {
 protected:
  PidFileTest() {
    folder_ = fs::path(testing::TempDir()) / ("pid_file." + std::to_string(getpid()));
    fs::create_directory(folder_);
    path_ = folder_ / "echo.pid";
  }
  ~PidFileTest() override { fs::remove_all(folder_); }

  // The message of the refusal; empty when there was none.
  std::string Refusal() {
    try {
      PidFile::Acquire(path_);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }

  // A child that holds the pid file until it is killed; returns when it has it.
  pid_t StartHolder() {
    int ends[2];
    Check(pipe2(ends, O_CLOEXEC), "pipe2");
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    const pid_t pid = Fork([&] {
      const PidFile held = PidFile::Acquire(path_);
      Check(write(write_end.Get(), "x", 1), "write");
      for (;;) pause();
      return 0;
    });
    write_end.Reset();
    char byte;
    EXPECT_EQ(read(read_end.Get(), &byte, 1), 1);
    return pid;
  }

  static void Kill(pid_t pid) {
    kill(pid, SIGKILL);
    WaitFor(pid);
  }

  fs::path folder_;
  fs::path path_;
};

TEST_F(PidFileTest, NamesThisProcessAndIsRemovedInTheEnd) {
  {
    const PidFile file = PidFile::Acquire(path_);
    EXPECT_EQ(Read(path_), std::to_string(getpid()) + "\n");
    EXPECT_EQ(fs::status(path_).permissions(), fs::perms(0644));
  }
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(PidFileTest, RefusesASecondOneAndSaysWho) {
  const pid_t holder = StartHolder();
  try {
    PidFile::Acquire(path_);
    ADD_FAILURE() << "two hold it";
  } catch (const AlreadyRunning& running) {
    EXPECT_EQ(running.Pid(), holder);
    EXPECT_EQ(running.what(),
              "already running, pid " + std::to_string(holder) + " (" + path_.string() + ")");
  }
  EXPECT_EQ(Read(path_), std::to_string(holder) + "\n") << "the refused one touched it";
  Kill(holder);
}

TEST_F(PidFileTest, RefusesASecondOneInTheSameProcess) {
  const PidFile file = PidFile::Acquire(path_);
  EXPECT_THROW(PidFile::Acquire(path_), AlreadyRunning);
}

TEST_F(PidFileTest, TakesOverWhatAKilledHolderLeft) {
  const pid_t holder = StartHolder();
  Kill(holder);
  ASSERT_EQ(Read(path_), std::to_string(holder) + "\n");
  const PidFile file = PidFile::Acquire(path_);
  EXPECT_EQ(Read(path_), std::to_string(getpid()) + "\n");
}

TEST_F(PidFileTest, TakesOverANumberThatNamesAnotherProcessByNow) {
  Write(path_, std::to_string(getppid()) + "\n");  // alive, and no daemon of ours
  const PidFile file = PidFile::Acquire(path_);
  EXPECT_EQ(Read(path_), std::to_string(getpid()) + "\n");
}

TEST_F(PidFileTest, TakesOverAnEmptyFileAndLeavesNothingOfALongerNumber) {
  Write(path_, "");
  { const PidFile file = PidFile::Acquire(path_); }
  Write(path_, "4194303999\n");
  EXPECT_NE(Refusal(), "") << "more than a pid can be";
  Write(path_, "1234567890 \n");
  const PidFile file = PidFile::Acquire(path_);
  EXPECT_EQ(Read(path_), std::to_string(getpid()) + "\n");
}

TEST_F(PidFileTest, FollowsNoSymbolicLink) {
  const fs::path victim = folder_ / "victim";
  Write(victim, "");
  fs::create_symlink(victim, path_);
  EXPECT_EQ(Refusal(), "the pid file " + path_.string() +
                           " is a symbolic link, which is not followed: name the file itself");
  EXPECT_EQ(Read(victim), "");

  fs::remove(victim);  // a link that dangles would create the file that it names
  EXPECT_NE(Refusal(), "");
  EXPECT_FALSE(fs::exists(victim));
}

TEST_F(PidFileTest, OverwritesNothingThatIsNoPidFile) {
  const std::string poem = "root:x:0:0:root:/root:/bin/bash\n";
  Write(path_, poem);
  EXPECT_NE(Refusal().find("holds something that is no pid"), std::string::npos) << Refusal();
  EXPECT_EQ(Read(path_), poem);
}

TEST_F(PidFileTest, RefusesHardLinksFifosAndFolders) {
  Write(folder_ / "other", "1\n");
  fs::create_hard_link(folder_ / "other", path_);
  EXPECT_NE(Refusal().find("second name"), std::string::npos) << Refusal();
  fs::remove(path_);

  Check(mkfifo(path_.c_str(), 0600), "mkfifo", path_.string());
  EXPECT_NE(Refusal().find("no regular file"), std::string::npos) << Refusal();
  fs::remove(path_);

  fs::create_directory(path_);
  EXPECT_NE(Refusal().find("Is a directory"), std::string::npos) << Refusal();
}

TEST_F(PidFileTest, SaysWhichFolderCannotBeWritten) {
  path_ = folder_ / "missing" / "echo.pid";
  EXPECT_EQ(Refusal(), "open the pid file " + path_.string() + ": No such file or directory");

  path_ = folder_ / "echo.pid";
  fs::permissions(folder_, fs::perms(0555));
  const pid_t child = Fork([this] {
    DropCapabilities();
    return Refusal() == "open the pid file " + path_.string() + ": Permission denied" ? 0 : 1;
  });
  EXPECT_TRUE(WaitFor(child).Cleanly());
  fs::permissions(folder_, fs::perms(0755));
}

TEST_F(PidFileTest, AForkedChildNeitherRemovesTheFileNorFreesTheLock) {
  std::optional<PidFile> file = PidFile::Acquire(path_);
  WaitFor(Fork([&] {
    file.reset();
    return 0;
  }));
  EXPECT_TRUE(fs::exists(path_));
  EXPECT_THROW(PidFile::Acquire(path_), AlreadyRunning);
}

TEST_F(PidFileTest, AForkedChildCanAdoptIt) {
  std::optional<PidFile> file = PidFile::Acquire(path_);
  const pid_t child = Fork([&] {
    file->Adopt();
    const bool named = Read(path_) == std::to_string(getpid()) + "\n";
    file.reset();
    return named ? 0 : 1;
  });
  EXPECT_TRUE(WaitFor(child).Cleanly());
  EXPECT_FALSE(fs::exists(path_)) << "the new owner removes it";
}

TEST_F(PidFileTest, TellsWhenOnlyAChildOfADeadHolderLivesOn) {
  int ends[2];
  Check(pipe2(ends, O_CLOEXEC), "pipe2");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t holder = Fork([&] {
    static const PidFile held = PidFile::Acquire(path_);
    const pid_t child = Fork([] {
      for (;;) pause();
      return 0;
    });
    Check(write(write_end.Get(), &child, sizeof child), "write");
    return 0;
  });
  pid_t child = 0;
  ASSERT_EQ(read(read_end.Get(), &child, sizeof child), static_cast<ssize_t>(sizeof child));
  WaitFor(holder);
  EXPECT_NE(Refusal().find("which has ended: a child of it lives on"), std::string::npos)
      << Refusal();
  kill(child, SIGKILL);
}

TEST_F(PidFileTest, LeavesAFileThatIsNotItsOwnAnyMore) {
  {
    const PidFile file = PidFile::Acquire(path_);
    fs::remove(path_);
    Write(path_, "1\n");
  }
  EXPECT_EQ(Read(path_), "1\n");
}

// Holders come and go, and each removes the file: what opened it before the removal must not take
// the lock of the removed one for the lock of the name.
TEST_F(PidFileTest, NeverTwoHoweverManyStartAndStopAtOnce) {
  const fs::path witness = folder_ / "inside";
  std::vector<pid_t> children;
  children.reserve(4);
  for (int child = 0; child < 4; ++child) {
    children.push_back(Fork([&] {
      for (int held = 0; held < 200;) {
        try {
          const PidFile file = PidFile::Acquire(path_);
          ++held;
          // O_EXCL: fails when another is inside.
          const UniqueFd inside(open(witness.c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0600));
          if (!inside) return 1;
          unlink(witness.c_str());
        } catch (const AlreadyRunning&) {
        }
      }
      return 0;
    }));
  }
  for (const pid_t pid : children) EXPECT_EQ(WaitFor(pid).Describe(), "exited with status 0");
}

}  // namespace
}  // namespace graceful
