//! Durable state of the relay and the members of this machine (layer 5).
//!
//! Must not depend on: sockets, `net`, or any text for users.
//!
//! Invariant: a record is reported as committed only after fsync. A file is either its old or its
//! new version, never a mixture. Private keys are readable by their owner only. A file that is
//! damaged, or made by a newer version, is rejected by name and left unchanged.

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
