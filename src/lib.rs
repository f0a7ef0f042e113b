//! Queqiao (鹊桥): a messenger for networks that users run themselves.
//!
//! Modules are layered; a module depends on lower layers only. `tests/architecture.rs` enforces the
//! table.
//!
//! | layer | module | purpose |
//! | --- | --- | --- |
//! | 0 | [`base`] | time, paths, names, seeded randomness, the [`base::Core`] trait and [`base::turn`] |
//! | 1 | [`wire`] | bytes to packets, frames and messages, and back; every size limit |
//! | 2 | [`session`] | handshake, keys, replay window, address validation: authenticates the peer |
//! | 2 | [`link`] | streams over packets: reliable, once, in order |
//! | 3 | [`peer`] | one session and one link composed: the other end, as both cores see it |
//! | 4 | [`relay`] | the relay's state machine |
//! | 4 | [`client`] | the client's state machine |
//! | 5 | [`contacts`] | the address book |
//! | 5 | [`store`] | disk: the relay's members, the client's keys and pins |
//! | 5 | [`net`] | the operating system: poll, UDP batches, TCP, clock, signals |
//! | 6 | [`ui`] | frontends of one client: line mode, JSON lines, strings for users |
//! | 7 | [`app`] | processes made of cores, store, net and frontends |
//! | 8 | [`cli`] | arguments in, results and exit statuses out |
//!
//! Layers 0 to 4 are sans-IO: no sockets, files, threads, clocks or global randomness.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![warn(clippy::too_many_lines)]

pub mod app;
pub mod base;
pub mod cli;
pub mod client;
pub mod contacts;
pub mod link;
pub mod net;
pub mod peer;
pub mod relay;
pub mod session;
pub mod store;
pub mod ui;
pub mod wire;
