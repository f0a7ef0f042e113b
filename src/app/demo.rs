//! `queqiao demo`: a relay and a few members in one process on loopback.
//!
//! On a terminal the user is among them, in line mode. Otherwise a short conversation is held over UDP and over TCP and
//! told line by line (`script`); each line comes from an event, and a step that does not come to pass in time ends it with
//! status 1. The relay, the clients and the sockets are those of the real commands; only the stores keep nothing, and a
//! line between one member and the relay can be cut (`wire`).

mod player;
mod script;
mod wire;

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use crate::base::{Name, Phrase};
use crate::client::{Carriers, RelaySpec};
use crate::contacts::{Book, Contact};
use crate::net::{self, Inlet, NetConfig};
use crate::relay::{self, Limits};
use crate::store::RelayStore;
use crate::ui::Color;

use super::chat::{Begin, converse};
use super::desk::Desk;
use super::server::RelayServer;
use super::{Failure, Outcome, Setup};
use player::{Player, Role};
use script::tell;

/// The members, and what each speaks to the relay over.
const CAST: [(&str, Carriers); 4] =
    [("TOM", Carriers::Udp), ("JACK", Carriers::Tcp), ("一棵树", Carriers::Udp), ("武大郎", Carriers::Tcp)];
/// Who the user is among them, unless `--as` says otherwise.
const USER: &str = "TOM";

/// Shows what the program does.
///
/// # Errors
/// [`Failure`]: status 1 if a step fails.
pub fn demo(setup: &Setup, color: Color) -> Outcome {
    let house = House::open()?;
    let outcome = match io::stdin().is_terminal() && io::stdout().is_terminal() {
        true => house.talk(setup, color),
        false => tell(&house, setup),
    };
    house.close();
    outcome
}

/// The relay of the demo, on a thread of its own.
struct House {
    spec: RelaySpec,
    inlet: Inlet<relay::Command>,
    thread: JoinHandle<Result<(), Phrase>>,
}

impl House {
    fn open() -> Result<House, Failure> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (store, state) = RelayStore::in_memory(net::seed())?;
        let config = NetConfig::relay(loopback, Some(loopback));
        let server = RelayServer::open(config, store, state, Limits::default())?;
        let (addr, key) = (server.udp_addr().into(), Some(server.public_key()));
        let spec = RelaySpec { addr, tcp: None, key, fingerprint: None };
        let inlet = server.inlet();
        let thread = thread::Builder::new().name("relay".to_owned()).spawn(move || server.run(|_| {}));
        let thread = thread.map_err(|why| Phrase::new("store-no-thread").with("cause", why))?;
        Ok(House { spec, inlet, thread })
    }

    fn close(self) {
        self.inlet.command(relay::Command::Stop);
        // A relay that failed has made the conversation fail, which was told.
        let _ = self.thread.join();
    }

    /// The user in line mode; the others answer by themselves.
    fn talk(&self, setup: &Setup, color: Color) -> Outcome {
        let mut book = Book::default();
        let me = setup.name(&book)?.unwrap_or_else(|| name(USER));
        let (told, _) = channel();
        let replies = setup.strings.say(&Phrase::new("demo-replies"));
        let replies: Vec<String> = replies.split('|').map(str::to_owned).collect();
        let mut players = Vec::new();
        for (other, carriers) in CAST.into_iter().filter(|(other, _)| name(other) != me) {
            players.push(Player::enter(self.role(other, carriers), told.clone(), replies.clone())?);
        }
        for player in &players {
            book.contacts.push(Contact::new(player.role.name.clone(), self.spec.addr.clone()));
        }
        let mut desk = Desk::open_ephemeral(Some(me.clone()), setup.carriers)?;
        super::say(&setup.strings, &Phrase::new("demo-among").with("name", &me));
        let relays = vec![self.spec.clone()];
        let outcome =
            converse(setup, &mut desk, Begin { me: &me, book, relays, target: None, is_desk: false, color });
        desk.leave();
        players.into_iter().for_each(|player| drop(player.leave()));
        outcome
    }

    /// One of the cast, with a key of its own.
    fn role(&self, who: &str, carriers: Carriers) -> Role {
        Role { name: name(who), private_key: net::seed(), carriers, relay: self.spec.clone() }
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("the cast have names")
}
