//! `queqiao relay --desk`: a relay, and in the same terminal the client of the member that guests
//! write to.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crate::base::{Name, Phrase};
use crate::client::{Carriers, Command, RelayConfig};
use crate::contacts::AddressBook;
use crate::net;
use crate::relay;
use crate::session::Identity;
use crate::store::{Backend, Fault, MemberStore, RelayState, RelayStore};
use crate::ui::{Color, Strings, store_error};

use super::chat::{ChatOptions, run_chat};
use super::client_host::{ClientHost, FrontendInput, FrontendKind, HostInput};
use super::server::{RelayServer, ServerNews};
use super::{CommandResult, Failure, Setup, say};

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
        Fault::Transient(phrase) | Fault::Broken(phrase) => phrase,
    })?;
    state.members.push((name.clone(), key));
    Ok(())
}

/// Member that guests write to, and its relay's address.
pub(super) struct ConsoleTarget {
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
    console: ConsoleTarget,
    strings: &Arc<Strings>,
    server: RelayServer,
    ready: impl FnOnce() -> Result<(), Failure>,
    tell: impl FnMut(ServerNews) + Send + 'static,
) -> CommandResult {
    let setup = Setup {
        contacts: None,
        name: Some(console.name.to_string()),
        data: Some(console.data),
        carriers: Carriers::Auto,
        invite: None,
        contacts_only: false,
        strings: Arc::clone(strings),
    };
    let config = RelayConfig {
        addr: console.reach.into(),
        tcp: None,
        key: Some(server.public_key()),
        fingerprint: None,
    };
    let stop = server.loop_handle();
    let mut host = ClientHost::open(&setup, console.name.clone(), FrontendKind::Display)?;
    // The client handles signals from here on, so a script that reads the ready line may stop it.
    ready()?;
    let loop_handle = host.loop_handle();
    let run = move || {
        if let Err(error) = server.run(tell) {
            loop_handle.command(HostInput::Frontend(FrontendInput::Broken(store_error(&error))));
        }
    };
    let spawned = thread::Builder::new().name("relay".to_owned()).spawn(run);
    let relay = spawned.map_err(|error| Phrase::new("store-no-thread").with("cause", error))?;
    // There is no address book: guests share the limit for unknown senders.
    host.command(Command::Screen(setup.block_lists(&AddressBook::default())));
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let begins = if is_terminal { Phrase::new("desk-begins-terminal") } else { Phrase::new("desk-begins") };
    let begins = begins.with("name", &console.name).with("relay", &config.addr);
    say(strings, &begins);
    let begin = ChatOptions {
        me: &console.name,
        book: AddressBook::default(),
        relays: vec![config],
        target: None,
        is_desk: true,
        has_history: false,
        color: Color::Auto,
    };
    let result = run_chat(&setup, &mut host, begin);
    host.leave();
    stop.command(relay::Command::Stop);
    // If the relay's disk failed, it has reported that and ended the conversation.
    let _ = relay.join();
    result
}
