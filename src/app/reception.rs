//! `queqiao relay --desk`: a relay, and in the same terminal the client of the member that guests
//! write to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crate::base::{Name, Phrase};
use crate::client::{Carriers, Command, RelaySpec};
use crate::contacts::Book;
use crate::net;
use crate::relay;
use crate::session::Identity;
use crate::store::{Backend, Fault, MemberStore, RelayState, RelayStore};
use crate::ui::{Color, Strings};

use super::chat::{Begin, converse};
use super::desk::{Ask, Desk, Mail, Part};
use super::server::{RelayServer, ServerNews};
use super::{Failure, Outcome, Setup, say};

/// Returns the data folder of the member at the desk, in the relay's folder.
pub(super) fn data_of(dir: &Path) -> PathBuf {
    dir.join("desk")
}

/// Registers the member at the desk before guests connect, unless the name is registered already.
///
/// # Errors
/// The name is reserved, the member's folder cannot be used, or the disk fails.
pub(super) fn register(
    name: &Name,
    dir: &Path,
    store: &mut RelayStore,
    state: &mut RelayState,
) -> Result<(), Failure> {
    if name.is_reserved() {
        return Err(Failure::usage(Phrase::new("members-reserved").with("name", name)));
    }
    if state.members.iter().any(|(known, _)| known == name) {
        return Ok(());
    }
    let (folder, kept) = MemberStore::open(&data_of(dir), name, &name.folder(), net::seed)?;
    drop(folder);
    let key = Identity::from_private(kept.private_key).public();
    let record = relay::Record::Member { name: name.clone(), key, since: state.mail.clock };
    store.commit(&[record], &mut Vec::new()).map_err(|fault| match fault {
        Fault::Passing(phrase) | Fault::Broken(phrase) => phrase,
    })?;
    state.members.push((name.clone(), key));
    Ok(())
}

/// Member that guests write to, and its relay's address.
pub(super) struct Place {
    pub(super) name: Name,
    pub(super) data: PathBuf,
    pub(super) reach: SocketAddr,
}

/// Runs the relay on its own thread, and the operator's conversation on this one. The relay ends
/// with the conversation.
///
/// # Errors
/// [`Failure`]: status 74 if a disk fails.
pub(super) fn answer(
    place: Place,
    strings: &Arc<Strings>,
    server: RelayServer,
    ready: impl FnOnce(&RelayServer) -> Result<(), Failure>,
    tell: impl FnMut(ServerNews) + Send + 'static,
) -> Outcome {
    let setup = Setup {
        contacts: None,
        name: Some(place.name.to_string()),
        data: Some(place.data),
        carriers: Carriers::Auto,
        invite: None,
        contacts_only: false,
        strings: Arc::clone(strings),
    };
    let spec =
        RelaySpec { addr: place.reach.into(), tcp: None, key: Some(server.public_key()), fingerprint: None };
    let stop = server.inlet();
    let mut desk = Desk::open(&setup, place.name.clone(), Part::Shows)?;
    // The client handles signals from here on, so a script that reads the ready line may stop it.
    ready(&server)?;
    let inlet = desk.inlet();
    let run = move || {
        if let Err(phrase) = server.run(tell) {
            inlet.command(Mail::Ask(Ask::Broken(phrase)));
        }
    };
    let spawned = thread::Builder::new().name("relay".to_owned()).spawn(run);
    let relay = spawned.map_err(|why| Phrase::new("store-no-thread").with("cause", why))?;
    // There is no address book: guests share the limit for unknown senders.
    desk.command(Command::Screen(setup.screens(&Book::default())));
    let begins = Phrase::new("desk-begins").with("name", &place.name).with("relay", &spec.addr);
    say(strings, &begins);
    let begin = Begin {
        me: &place.name,
        book: Book::default(),
        relays: vec![spec],
        target: None,
        is_desk: true,
        color: Color::Auto,
    };
    let outcome = converse(&setup, &mut desk, begin);
    desk.leave();
    stop.command(relay::Command::Stop);
    // If the relay's disk failed, it has reported that and ended the conversation.
    let _ = relay.join();
    outcome
}
