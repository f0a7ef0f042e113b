//! `queqiao demo`: a relay and a few members in one process on loopback.
//!
//! On a terminal the user is one of them, in line mode. Otherwise a short conversation over UDP and
//! TCP is printed line by line (`script`). Each line comes from an event; a step that does not
//! happen in time ends the demo with status 1.
//!
//! Relay, clients and sockets are those of the real commands. Only the stores keep nothing, and the
//! link between one member and the relay can be cut (`proxy`).

mod player;
mod proxy;
mod script;

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use crate::base::{Name, Phrase};
use crate::client::{Carriers, RelayConfig};
use crate::contacts::{AddressBook, Contact};
use crate::net::{self, LoopHandle, NetConfig};
use crate::relay::{self, Limits};
use crate::store::{RelayStore, StoreError};
use crate::ui::Color;

use super::chat::{ChatOptions, run_chat};
use super::client_host::ClientHost;
use super::server::RelayServer;
use super::{CommandResult, Failure, Setup};
use player::{DemoMember, Player};
use script::run_script;

/// The members, and which carrier each uses.
const CAST: [(&str, Carriers); 4] =
    [("TOM", Carriers::Udp), ("JACK", Carriers::Tcp), ("一棵树", Carriers::Udp), ("武大郎", Carriers::Tcp)];
/// The user's name in the demo, unless `--as` is given.
const USER: &str = "TOM";

/// Demonstrates the program.
///
/// # Errors
/// [`Failure`]: status 1 if a step fails.
pub fn demo(setup: &Setup, color: Color) -> CommandResult {
    let demo_relay = DemoRelay::open()?;
    let result = match io::stdin().is_terminal() && io::stdout().is_terminal() {
        true => demo_relay.talk(setup, color),
        false => run_script(&demo_relay, setup),
    };
    demo_relay.close();
    result
}

/// The relay of the demo, on its own thread.
struct DemoRelay {
    config: RelayConfig,
    loop_handle: LoopHandle<relay::Command>,
    thread: JoinHandle<Result<(), StoreError>>,
}

impl DemoRelay {
    fn open() -> Result<DemoRelay, Failure> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (store, state) = RelayStore::in_memory(net::seed())?;
        let config = NetConfig::relay(loopback, Some(loopback));
        let server = RelayServer::open(config, store, state, Limits::default())?;
        let config = RelayConfig {
            addr: server.udp_addr().into(),
            tcp: None,
            key: Some(server.public_key()),
            fingerprint: None,
        };
        let loop_handle = server.loop_handle();
        let thread = thread::Builder::new().name("relay".to_owned()).spawn(move || server.run(|_| {}));
        let thread = thread.map_err(|error| Phrase::new("store-no-thread").with("cause", error))?;
        Ok(DemoRelay { config, loop_handle, thread })
    }

    fn close(self) {
        self.loop_handle.command(relay::Command::Stop);
        // If the relay failed, the conversation failed too and has reported it.
        let _ = self.thread.join();
    }

    /// Runs line mode for the user; the other members answer automatically.
    fn talk(&self, setup: &Setup, color: Color) -> CommandResult {
        let mut book = AddressBook::default();
        let me = setup.name(&book)?.unwrap_or_else(|| name(USER));
        let (event_sender, _) = channel();
        let replies = setup.strings.say(&Phrase::new("demo-replies"));
        let replies: Vec<String> = replies.split('|').map(str::to_owned).collect();
        let mut players = Vec::new();
        for (other, carriers) in CAST.into_iter().filter(|(other, _)| name(other) != me) {
            players.push(Player::enter(self.member(other, carriers), event_sender.clone(), replies.clone())?);
        }
        for player in &players {
            book.contacts.push(Contact::new(player.member.name.clone(), self.config.addr.clone()));
        }
        let mut host = ClientHost::open_ephemeral(Some(me.clone()), setup.carriers)?;
        super::say(&setup.strings, &Phrase::new("demo-among").with("name", &me));
        let relays = vec![self.config.clone()];
        let result = run_chat(
            setup,
            &mut host,
            ChatOptions { me: &me, book, relays, target: None, is_desk: false, has_history: false, color },
        );
        host.leave();
        players.into_iter().for_each(|player| drop(player.leave()));
        result
    }

    /// Returns one of the members, with a new key.
    fn member(&self, who: &str, carriers: Carriers) -> DemoMember {
        DemoMember { name: name(who), private_key: net::seed(), carriers, relay: self.config.clone() }
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("the names of the demo are valid")
}
