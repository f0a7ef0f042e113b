//! The table of faults, row by row: what strangers, hostile members and unlucky transports give a relay or a client,
//! and the right answer to each. The cores are driven through `base::turn` with inputs made by hand; only what a core
//! cannot know (sockets) is tried with real ones. Rows that unit tests beside the code hold are not held again here.
//!
//! A name that begins with `row_` carries the number of its row; a bound is tested at the bound.

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
