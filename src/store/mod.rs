//! Durable state of the relay and the members of this machine (layer 5).
//!
//! Must not depend on: sockets, `net`, or any text for users.
//!
//! Invariant: a record is reported as committed only after fsync. A file is either its old or its
//! new version, never a mixture. Private keys are readable by their owner only. A file that is
//! damaged, or made by a newer version, is rejected by name and left unchanged.

mod archive;
mod backup;
mod checksums;
mod commit_counter;
mod damaged_table;
mod database;
mod diagnose;
mod error;
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
mod membership_table;
mod null_store;
mod operators;
mod outboxes_table;
mod outgoing;
mod own_outboxes;
mod pins;
mod received;
mod relay;
mod relay_addresses;
mod replies;
mod reset_id;
mod restore;
mod restored_table;
mod sessions_table;
mod udp_failures;
mod unused_table;
mod waiting_counts_table;
mod worker;

pub use archive::{Archive, HistoryFilter, RequestOutcome, UnreadLetter, UnsentLetter};
pub use error::{DamagedLetter, StoreError, StoreErrorCause};
pub use files::{default_data_dir, write_documents};
pub use forget::{EraseCounts, EraseFilter, Eraser};
pub use lock::is_held;
pub use member::{ClientState, MemberStore, member_dir, member_dirs};
pub use members_list::{MemberListing, members_list};
pub use null_store::NullStore;
pub use operators::{QueuedRequest, RequestQueue, RequestStatus};
pub use pins::{Pin, Pins};
pub use relay::{RELAY_DATABASE, RelayState, RelayStore};
pub use relay_addresses::{RelayAddress, RelayAddresses};
pub use replies::{BackupProgress, BackupReply, Fault, StoreReply, SubmitError};
pub use reset_id::renew_reset_id;
pub use restore::{BackupContent, restore, verify_backup};
pub use worker::{BATCH_RECORDS_MAX, Backend, Backups, QUEUE_BYTES_MAX, QUEUE_RECORDS_MAX, Worker};
