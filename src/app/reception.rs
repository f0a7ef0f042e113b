//! `queqiao relay --desk`: a relay, and in the same window the member whom guests write to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use crate::base::{Name, Phrase};
use crate::client::{Carriers, RelaySpec};
use crate::contacts::Book;
use crate::relay;
use crate::ui::{Color, Strings};

use super::chat::{Begin, converse};
use super::desk::{Ask, Desk, Mail, Part};
use super::server::{RelayServer, ServerNews};
use super::{Outcome, Setup, say};

/// Whom guests write to, and where.
pub(super) struct Place {
    pub(super) name: Name,
    /// The relay's folder; the member's letters are kept in `desk` there.
    pub(super) dir: PathBuf,
    pub(super) reach: SocketAddr,
}

/// Runs the relay on a thread of its own, and the operator's conversation on this one; the relay ends with it.
///
/// # Errors
/// [`Failure`]: status 74 if a disk fails.
pub(super) fn answer(
    place: Place,
    strings: &Arc<Strings>,
    server: RelayServer,
    tell: impl FnMut(ServerNews) + Send + 'static,
) -> Outcome {
    let setup = Setup {
        contacts: None,
        name: Some(place.name.to_string()),
        data: Some(place.dir.join("desk")),
        carriers: Carriers::Auto,
        invite: None,
        contacts_only: false,
        strings: Arc::clone(strings),
    };
    let spec = RelaySpec { addr: place.reach.into(), tcp: None, key: Some(server.public_key()) };
    let stop = server.inlet();
    let mut desk = Desk::open(&setup, place.name.clone(), Part::Shows)?;
    let inlet = desk.inlet();
    let run = move || {
        if let Err(phrase) = server.run(tell) {
            inlet.command(Mail::Ask(Ask::Broken(phrase)));
        }
    };
    let spawned = thread::Builder::new().name("relay".to_owned()).spawn(run);
    let relay = spawned.map_err(|why| Phrase::new("store-no-thread").with("cause", why))?;
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
    // A relay whose disk broke has said so, and ended the conversation.
    let _ = relay.join();
    outcome
}
