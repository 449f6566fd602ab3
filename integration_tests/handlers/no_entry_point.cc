// A shared object that is no handler.

int not_a_handler() { return 0; }
