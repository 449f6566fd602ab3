"""The smallest server: one connection, and the bytes that a test wants a client to see."""

import socket
import struct
import threading


def serve_once(answer: bytes, reset: bool = False) -> tuple[str, int]:
    """Answers the first bytes of one connection with these, and closes it; its address.

    `reset`: with RST instead of FIN, as a process that dies with unread requests does.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(1 << 16)
            connection.sendall(answer)
            if reset:
                # SO_LINGER with no time, socket(7): close(2) resets.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()
