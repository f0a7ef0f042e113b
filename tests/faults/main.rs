//! The table of faults (`docs/faults.md`), row by row: hostile strangers, hostile members and
//! unlucky transports, and the right answer of a relay or client.
//!
//! The cores are driven through `base::turn` with hand-made inputs. Only cases that a core cannot
//! know (sockets) use real ones. Rows that unit tests in `src` cover are not repeated here. A
//! comment above a test names its rows, and a bound is tested at the bound.

#[path = "../guest_rules/mod.rs"]
mod guest_rules;

mod client;
mod client_relays;
mod control;
mod cookies;
mod damage;
mod doors;
mod floods;
mod full_seconds;
mod guests;
mod guests_flood;
mod guests_named;
mod guests_served;
mod hand;
mod house;
mod letters;
mod mailboxes;
mod members;
mod names;
mod paths;
mod readers;
mod reassembly;
mod refusals;
mod restarts;
mod resting;
mod rig;
mod sockets;
mod storm;
mod strangers;
mod tcp;
mod transport;
mod unknown_names;
mod unwritten;
mod visitor;
