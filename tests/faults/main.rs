//! The table of faults (`docs/faults.md`), row by row: hostile strangers, hostile members and
//! unlucky transports, and the right answer of a relay or client.
//!
//! The cores are driven through `base::turn` with hand-made inputs. Only cases that a core cannot
//! know (sockets) use real ones. Rows that unit tests in `src` cover are not repeated here. A
//! comment above a test names its rows, and a bound is tested at the bound.

#[path = "../guest_rules/mod.rs"]
mod guest_rules;

mod client;
mod client_harness;
mod client_relays;
mod control;
mod cookies;
mod damage;
mod failed_writes;
mod fixtures;
mod guests;
mod guests_flood;
mod guests_named;
mod guests_served;
mod hibernation;
mod letters;
mod mailboxes;
mod members;
mod names;
mod paths;
mod raw_client;
mod reassembly;
mod recipient_limits;
mod reconnect_storm;
mod refusals;
mod registration;
mod relay_harness;
mod resource_limits;
mod restarts;
mod sockets;
mod stranger_receipts;
mod tcp;
mod transport;
mod unauthenticated;
mod unknown_names;
