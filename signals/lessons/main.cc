// The `main` of every lesson.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "signals/lessons/lesson.h"
#include "signals/version.h"

int main(int argc, char** argv) {
  CLI::App app(graceful::kLesson.summary);
  app.footer(
      "Takes no arguments: it does its experiments and tells what happened on this machine.");
  app.set_version_flag("--version", "graceful-daemons " GRACEFUL_VERSION);
  try {
    app.parse(argc, argv);
    graceful::kLesson.tell();
  } catch (const CLI::Success& words) {  // --help, --version
    return app.exit(words);
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}
