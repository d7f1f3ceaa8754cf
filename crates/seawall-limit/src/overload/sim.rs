//! A service, its clients and a guard between them, as a seeded event loop without a clock.
//!
//! The service has so many workers and a line in front of them, and may call a dependency that
//! takes its time but holds no worker. Clients arrive at random, whatever the service does (an
//! open model), and want an answer within a second.

mod guards;
mod scenarios;
mod world;
