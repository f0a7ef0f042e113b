//! Stories told with real processes of the built program, on loopback, each in a folder of its own.
//!
//! Every wait is for a line, an answer or the end of a process, with a deadline that only a broken program meets; so
//! the stories pass at the same speed on a busy machine, and all of them can run at once.

mod world;

mod book;
mod carriers;
mod chat;
mod crowd;
mod guests;
mod interrupts;
mod listen;
mod mailbox;
mod names;
mod outbox;
mod presence;
mod reach;
mod relay;
mod send;
mod terminal;
mod trust;
mod usage;
