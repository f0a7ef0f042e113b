//! Tests with real processes of the built program, on loopback, each in a separate folder.
//!
//! Every wait is for a line, an answer or the end of a process, with a deadline that only a broken
//! program reaches. So the tests pass at the same speed on a busy machine, and all of them can run
//! at once.

#[path = "../line/mod.rs"]
mod line;
mod world;

mod addresses;
mod book;
mod carriers;
mod chat;
mod clocks;
mod copies;
mod crowd;
mod damage;
mod demo;
mod desk;
mod disk;
mod floods;
mod forget;
mod guests;
mod interrupts;
mod invitations;
mod join;
mod kills;
mod lines;
mod listen;
mod load;
mod mailbox;
mod moves;
mod names;
mod outbox;
mod presence;
mod reach;
mod readers;
mod relay;
mod restart;
mod roaming;
mod scarce;
mod send;
mod shared;
mod strangers;
mod terminal;
mod trust;
mod usage;
