#ifndef GRACEFUL_SIGNALS_LESSONS_LESSON_H_
#define GRACEFUL_SIGNALS_LESSONS_LESSON_H_

namespace graceful {

// What `main` needs to know of a lesson. Each lesson's .cc defines `kLesson`.
//
// A lesson is an experiment: a function that does something to real processes and returns what
// happened. The program tells what it found; the test checks it.
struct Lesson {
  const char* summary;  // for --help
  void (*tell)();       // runs the experiments and prints what happened
};

extern const Lesson kLesson;

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_LESSON_H_
