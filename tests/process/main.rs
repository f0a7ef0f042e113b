//! Tests with real processes of the built program, on loopback, each in a separate folder.
//!
//! Every wait is for a line, an answer or the end of a process, with a deadline that only a broken
//! program reaches. So the tests pass at the same speed on a busy machine, and all of them can run
//! at once.

mod harness;
#[path = "../netem/mod.rs"]
mod netem;

mod address_book;
mod addresses;
mod backup;
mod bad_links;
mod carriers;
mod chat;
mod clocks;
mod conversations;
mod damage;
mod demo;
mod disk;
mod file_owners;
mod floods;
mod forget;
mod guests;
mod history;
mod interrupts;
mod invitations;
mod join;
mod kill_rounds;
mod listen;
mod load;
mod low_resources;
mod mailbox;
mod many_members;
mod member_disk;
mod multi_process;
mod names;
mod no_network;
mod old_copies;
mod operator_log;
mod outbox;
mod path_changes;
mod presence;
mod reachability;
mod readme;
mod recipient_limits;
mod relay;
mod relay_console;
mod restart;
mod roaming;
mod send;
mod signals;
mod terminal;
mod terminal_input;
mod trust;
mod unwanted_messages;
mod usage;
