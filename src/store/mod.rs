//! Floor 5: disk. What a relay and the members of a machine keep from one run to the next.
//!
//! - [`Worker`]: the store's thread; it commits records in groups, so that the loop never waits for a disk.
//! - [`RelayStore`]: the relay's identity key, its members and their mail, in a folder of its own.
//! - [`members_list()`]: who those members are, for the operator; [`Requests`]: what the operator asks of a running relay.
//! - [`Reach`]: where members reach that relay, for invitations.
//! - [`MemberStore`]: a member's identity key, handshake counter and letters, in a folder for each name.
//! - [`Archive`]: the same letters, for those who only read them.
//! - [`Pins`]: the keys of the relays this machine knows, one file for all its members.
//! - [`Ephemeral`]: keeps nothing, for processes that leave no files.
//!
//! It must not know: sockets, `net`, or any sentence for people.
//! Invariant: a record is answered as committed only after the disk has it (fsync), and a file is either its old
//! self or its new one, never half of each. Private keys are readable by their owner alone. What is damaged, or made
//! by a newer version, is refused by name and left as it is.

mod archive;
mod commits;
mod damaged_table;
mod database;
mod ephemeral;
mod files;
mod forget;
mod history;
mod keyfile;
mod letter_rows;
mod lock;
mod mail_table;
mod member;
mod members_list;
mod members_table;
mod operators;
mod outboxes_table;
mod outgoing;
mod own_outboxes;
mod pins;
mod reach;
mod received;
mod relay;
mod reset_id;
mod roll_table;
mod sessions_table;
mod sums;
mod udp_failed;
mod unused_table;
mod waiting_table;
mod worker;

pub use archive::{Archive, Fate, Unshown};
pub use ephemeral::Ephemeral;
pub use files::default_data_dir;
pub use forget::{Count, Eraser, Which};
pub use member::{MemberState, MemberStore, member_dir, member_dirs};
pub use members_list::{Listed, members_list};
pub use operators::{Asked, Requests};
pub use pins::{Pin, Pins};
pub use reach::{Reach, ReachedAt};
pub use relay::{RELAY_DATABASE, RelayState, RelayStore};
pub use reset_id::renew_reset_id;
pub use worker::{
    BATCH_RECORDS_MAX, Backend, Done, Fault, NotTaken, QUEUE_BYTES_MAX, QUEUE_RECORDS_MAX, Worker,
};
