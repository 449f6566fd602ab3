#ifndef GRACEFUL_SIGNALS_LESSONS_SAFE_HANDLER_HEAP_H_
#define GRACEFUL_SIGNALS_LESSONS_SAFE_HANDLER_HEAP_H_

namespace graceful {

// Asks malloc(3) for memory and gives it back.
void Allocate();

// A thread that does nothing and takes no signal. With one thread alone malloc(3) takes no lock,
// and an allocating handler corrupts the heap instead.
void StartSecondThread();

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_SAFE_HANDLER_HEAP_H_
