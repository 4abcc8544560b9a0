"""HTTP of the gateway on bare ASGI: admission, bounded bodies, fair work, failures."""
