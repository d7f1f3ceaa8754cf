//! Real PostgreSQL with streaming replicas and real Redis as child processes, for tests, benches and examples.
