#ifndef GRACEFUL_SIGNALS_VERSION_H_
#define GRACEFUL_SIGNALS_VERSION_H_

// Of everything in this repository.
#define GRACEFUL_VERSION "0.1.0"

#endif  // GRACEFUL_SIGNALS_VERSION_H_
