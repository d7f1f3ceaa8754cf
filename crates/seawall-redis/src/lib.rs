//! Ways to Redis: a connection to each master, discovery, MOVED and ASK followed, and concurrent commands folded into few.
//!
//! ```no_run
//! use fred::interfaces::KeysInterface;
//! use seawall_redis::{Masters, Settings, Way};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "redis-cluster://10.0.0.1:7000?node=10.0.0.2:7000".into();
//! let masters = Masters::connect(&Settings { url, ..Settings::default() }).await?;
//! let routes = masters.routes();
//! tokio::spawn(masters.follow(|_change, _reach| {})); // as masters come and go
//!
//! let node = routes.topology().node(b"greeting");
//! let get = |way: Way| async move { way.send("GET", vec!["greeting".into()]).await };
//! let (greeting, _by): (Option<String>, u32) = routes.ask(node, get).await?;
//! # let _ = greeting;
//! # Ok(())
//! # }
//! ```
//!
//! # When to use it, and when not
//! It is what `seawall-cache` and `seawall-limit` have in common: most programs want one of those. Use it
//! for scripts of your own that must go on while one master of a cluster is gone. It follows the masters
//! only (no reads from replicas), and finds a command's node by the key that you name.
//!
//! # How it works
//! [`Masters`] finds who is master, and keeps a client of [fred](https://docs.rs/fred) for each: fred's own
//! cluster client has one task for all nodes, and sends nothing anywhere while one of them is lost. Here one that hangs or
//! dies fails its own keys only. [`Routes`] leads a command to its node, and to where that says that
//! the key is: a MOVED corrects the slot at once and makes [`Masters::follow`] look again, an ASK is
//! answered by ASKING right before the command. A sentinel is asked by fred; that and a single server are one node, 0.
//!
//! [`Reads`] is a connection of its own for reading keys, those of many tasks in few commands: fred takes about as
//! long for a key of an MGET as others do for a GET. [`Fold`] puts questions of any kind that tasks ask at the same
//! time into few commands. [`within`] is a deadline
//! that counts an answer which lies in the socket as come. [`EndsWithUs`] ends fred's
//! task with its owner, and starts it again should it end by itself.
//!
//! # Consistency
//! Commands are sent once: one whose answer is lost may have been carried out. One that is answered by a
//! redirection was not, and is sent on.
//!
//! # Cancel safety
//! Each future says what becomes of a command when it is dropped: what was sent stays sent.
//!
//! # Cost
//! A look-up of a node is a hash of the key and a load; without a cluster it is nothing. A command takes
//! a short read lock, for the client, beside what fred takes. A connection for reads, where it is asked for, is one more to each master.
//!
//! # Features
//! | feature | what | default |
//! |---|---|---|
//! | `serde` | [`Settings`] from text, durations as humantime strings | no |

mod clients;
mod discovery;
mod ends;
mod error;
mod fold;
mod masters;
mod per_node;
mod reads;
mod routes;
mod settings;
mod topology;
mod within;

pub use self::ends::EndsWithUs;
pub use self::error::Error;
pub use self::fold::{Carry, Fold, Replies, Unasked};
pub use self::masters::{Masters, Reach};
pub use self::per_node::PerNode;
pub use self::reads::Reads;
pub use self::routes::{Routes, Way, another_number, gone, is_redirection, plain};
pub use self::settings::Settings;
pub use self::topology::{Change, Topology};
pub use self::within::within;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
