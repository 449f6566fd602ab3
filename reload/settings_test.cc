#include "reload/settings.h"

#include <gtest/gtest.h>

#include <fstream>

namespace graceful {
namespace {

std::string ErrorOf(const std::vector<std::string>& arguments) {
  try {
    ReadSettings(arguments, testing::TempDir());
    return "";
  } catch (const SettingsError& error) {
    return error.what();
  }
}

std::string WriteConfig(const std::string& text) {
  std::string path = testing::TempDir() + "config.toml";
  std::ofstream(path) << text;
  return path;
}

TEST(SettingsTest, AFlagWinsOverTheFile) {
  const std::string path =
      WriteConfig("worker_num = 3\nport = 9000\nlisten = [\"127.0.0.1\", \"[::1]:0\"]\n");
  const Settings settings =
      ReadSettings({"--config", path, "--port", "0", "--max_wait_time", "1.5"}, "/tmp");
  EXPECT_EQ(settings.worker_num, 3);
  EXPECT_EQ(settings.port, 0);
  EXPECT_EQ(settings.max_wait_time, 1.5);
  EXPECT_EQ(settings.listen, (std::vector<std::string>{"127.0.0.1", "[::1]:0"}));
  EXPECT_EQ(settings.config, path);
}

TEST(SettingsTest, RelativePathsAreFromTheDirectory) {
  const Settings settings = ReadSettings({"--handler", "x/../y.so"}, "/tmp");
  EXPECT_EQ(settings.handler, "/tmp/y.so");
  EXPECT_EQ(settings.pid_file, "");
}

TEST(SettingsTest, ErrorsNameWhatIsWrongAndWhatWasMeant) {
  EXPECT_EQ(ErrorOf({"--worker_nun", "4"}),
            "unknown argument '--worker_nun', did you mean worker_num?");
  EXPECT_EQ(ErrorOf({"--config", WriteConfig("max_requests = 5\n")}),
            "unknown setting 'max_requests' in the configuration file, did you mean max_request?");
  EXPECT_NE(ErrorOf({"--worker_num", "many"}).find("worker_num"), std::string::npos);
  EXPECT_NE(ErrorOf({"--worker_num", "0"}).find("worker_num"), std::string::npos);
  EXPECT_NE(ErrorOf({"--port", "65536"}).find("port"), std::string::npos);
  EXPECT_NE(ErrorOf({"--config", "/no/such/file"}).find("/no/such/file"), std::string::npos);
  EXPECT_NE(ErrorOf({"--config", WriteConfig("worker_num = \n= 3")}), "");
  EXPECT_NE(ErrorOf({"--daemonize", "--log_file", "-"}).find("log_file '-'"), std::string::npos);
}

TEST(SettingsTest, HelpNamesEverySetting) {
  try {
    ReadSettings({"--help"}, "/tmp");
    FAIL();
  } catch (const OnlyWords& words) {
    for (const char* name : {"worker_num", "max_wait_time", "ledger_file", "control_socket"}) {
      EXPECT_NE(words.text.find(name), std::string::npos) << name;
    }
  }
}

TEST(SettingsTest, TravelBetweenProcesses) {
  Settings settings;
  settings.worker_num = 7;
  settings.ledger_file = "/x";
  const Settings copy = DecodeSettings(Encode(settings));
  EXPECT_EQ(copy.worker_num, 7);
  EXPECT_EQ(copy.Text("ledger_file"), "/x");
  EXPECT_EQ(copy.Text("worker_num"), "7");
  EXPECT_EQ(copy.Text("no_such"), "");
}

}  // namespace
}  // namespace graceful
