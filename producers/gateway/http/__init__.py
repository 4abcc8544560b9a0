"""HTTP of the gateway on bare ASGI: admission, limits of bodies, fair scheduling, errors."""
