//! One pool over a PostgreSQL primary and its replicas: explicit reads and writes, health checks off the request path.
