//! `queqiao demo`: a relay and a few members in one process on loopback.
//!
//! On a terminal the user is among them, in line mode. Otherwise a short conversation is held over UDP and over TCP and
//! told line by line; each line comes from an event, and a step that does not come to pass in time ends it with status 1.
//! The relay, the clients and the sockets are those of the real commands; only the stores keep nothing.

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::base::{HostPort, Name, Phrase};
use crate::client::{Carriers, Command, Event, Progress, RelaySpec};
use crate::contacts::{Book, Contact};
use crate::net::{self, Inlet, NetConfig};
use crate::relay::{self, Limits};
use crate::store::RelayStore;
use crate::ui::Color;
use crate::wire::limits::LETTER_TEXT_MAX;

use super::chat::{Begin, converse};
use super::desk::{Ask, Desk, Mail, News};
use super::server::RelayServer;
use super::{Failure, Outcome, Setup, Status, print};

/// Each step of the told conversation takes milliseconds; a machine under load is given this long.
const STEP_WITHIN: Duration = Duration::from_secs(5);

/// The told conversation: who says what to whom.
const SCRIPT: [(&str, &str, &str); 6] = [
    ("TOM", "JACK", "约不"),
    ("JACK", "TOM", "不约"),
    ("一棵树", "武大郎", "Is there bread today?"),
    ("武大郎", "一棵树", "有,刚出炉!"),
    ("TOM", "echo", "hello over udp"),
    ("JACK", "echo", "hello over tcp"),
];
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
        false => house.tell(setup),
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
        let spec = RelaySpec { addr: server.udp_addr().into(), tcp: None, key: Some(server.public_key()) };
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
        let others = CAST.iter().filter(|(other, _)| name(other) != me);
        let players: Vec<Player> = others
            .map(|cast| Player::enter(setup, *cast, &self.spec, &told, true))
            .collect::<Result<_, _>>()?;
        for player in &players {
            book.contacts.push(Contact::new(player.name.clone(), self.spec.addr.clone()));
        }
        let mut desk = Desk::open_ephemeral(Some(me.clone()), setup.carriers)?;
        super::say(&setup.strings, &Phrase::new("demo-among").with("name", &me));
        let relays = vec![self.spec.clone()];
        let outcome = converse(setup, &mut desk, Begin { me: &me, book, relays, target: None, color });
        desk.leave();
        players.into_iter().for_each(Player::leave);
        outcome
    }

    /// The conversation of the script, told from its events.
    fn tell(&self, setup: &Setup) -> Outcome {
        let (heard, events) = channel();
        let mut players = Vec::new();
        for cast in CAST {
            players.push(Player::enter(setup, cast, &self.spec, &heard, false)?);
        }
        let mut telling = Telling { setup, events, aside: Vec::new() };
        telling.line(&Phrase::new("demo-relay").with("relay", &self.spec.addr))?;
        for (who, _) in CAST {
            telling.online(who)?;
        }
        for (number, (from, to, text)) in SCRIPT.iter().enumerate() {
            let speaker =
                players.iter().find(|p| p.name.as_str() == *from).expect("the script keeps to the cast");
            speaker.say(number as u64, &self.spec.addr, &name(to), text);
            telling.letter(number as u64, from, to, text)?;
        }
        telling.nothing_twice()?;
        telling.line(&Phrase::new("demo-done").with("count", SCRIPT.len()))?;
        players.into_iter().for_each(Player::leave);
        Ok(Status::Done)
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("the cast have names")
}

/// Something one member was shown.
struct Heard {
    who: Name,
    event: Event,
}

/// One member on a thread of its own.
struct Player {
    name: Name,
    inlet: Inlet<Mail>,
    thread: JoinHandle<()>,
}

impl Player {
    fn enter(
        setup: &Setup,
        (who, carriers): (&str, Carriers),
        relay: &RelaySpec,
        heard: &Sender<Heard>,
        answers: bool,
    ) -> Result<Player, Failure> {
        let name = name(who);
        let mut desk = Desk::open_ephemeral(Some(name.clone()), carriers)?;
        desk.command(Command::Relays(vec![relay.clone()]));
        let (inlet, heard, who) = (desk.inlet(), heard.clone(), name.clone());
        let replies: Vec<String> = match answers {
            true => setup.strings.say(&Phrase::new("demo-replies")).split('|').map(str::to_owned).collect(),
            false => Vec::new(),
        };
        let thread = thread::Builder::new().name("member".to_owned());
        let thread = thread.spawn(move || play(desk, &who, &heard, &replies));
        let thread = thread.map_err(|why| Phrase::new("store-no-thread").with("cause", why))?;
        Ok(Player { name, inlet, thread })
    }

    fn say(&self, request: u64, relay: &HostPort, to: &Name, text: &str) {
        let (relay, to, text) = (relay.clone(), to.clone(), text.to_owned());
        self.inlet.command(Mail::Command(Command::Send { request, relay, to, text }));
    }

    fn leave(self) {
        self.inlet.command(Mail::Ask(Ask::End));
        // A member that panicked has been told by its silence.
        let _ = self.thread.join();
    }
}

/// A member's loop: passes on what it is shown, and answers letters with what it has to say, in turn.
fn play(mut desk: Desk, who: &Name, heard: &Sender<Heard>, replies: &[String]) {
    let (mut news, mut answered) = (News::default(), 0);
    loop {
        desk.turn(None, &mut news);
        for event in news.events.drain(..) {
            if let (Event::Letter(letter), false) = (&event, replies.is_empty()) {
                let mut text = format!("{} — {}", letter.text, replies[answered % replies.len()]);
                if text.len() > LETTER_TEXT_MAX {
                    text = replies[answered % replies.len()].clone();
                }
                answered += 1;
                let (relay, to) = (letter.relay.clone(), letter.from.clone());
                desk.command(Command::Send { request: answered as u64, relay, to, text });
            }
            // Nobody listens on a terminal: there the letters themselves are the show.
            let _ = heard.send(Heard { who: who.clone(), event });
        }
        if news.asks.drain(..).any(|ask| matches!(ask, Ask::End)) {
            return desk.leave();
        }
    }
}

/// Waits for the events of the script and tells them.
struct Telling<'a> {
    setup: &'a Setup,
    events: Receiver<Heard>,
    /// Events that came before they were waited for.
    aside: Vec<Heard>,
}

impl Telling<'_> {
    fn line(&self, phrase: &Phrase) -> Result<(), Failure> {
        print(&self.setup.strings.say(phrase)).map(drop)
    }

    fn online(&mut self, who: &str) -> Result<(), Failure> {
        let online = self.wait(who, |event| match event {
            Event::Online { via, .. } => Some(*via),
            _ => None,
        })?;
        self.line(&Phrase::new("demo-online").with("who", who).with("via", online))
    }

    /// One letter: seen by its recipient, then delivered for its sender; `echo` is seen by its answer.
    fn letter(&mut self, request: u64, from: &str, to: &str, text: &str) -> Result<(), Failure> {
        let (reader, wanted) = match to {
            "echo" => (from, text.to_ascii_uppercase()),
            _ => (to, text.to_owned()),
        };
        let letter = self.wait(reader, |event| match event {
            Event::Letter(letter) if letter.text == wanted => Some(letter.clone()),
            _ => None,
        })?;
        let (id, via) = self.wait(from, |event| match event {
            Event::Progress { request: of, id, progress: Progress::Delivered, via } if *of == request => {
                Some((*id, *via))
            }
            _ => None,
        })?;
        let sent = Phrase::new("demo-sent").with("from", from).with("to", to).with("via", via);
        self.line(&sent.with("text", text).with("id", id))?;
        let came = Phrase::new("demo-came").with("who", reader).with("via", letter.via);
        self.line(&came.with("from", &letter.from).with("text", &letter.text).with("id", letter.id))
    }

    /// Every letter was waited for once; one that is left came a second time.
    fn nothing_twice(&mut self) -> Result<(), Failure> {
        self.aside.extend(self.events.try_iter());
        match self.aside.iter().find(|heard| matches!(heard.event, Event::Letter(_))) {
            Some(heard) => Err(Phrase::new("demo-twice").with("who", &heard.who).into()),
            None => Ok(()),
        }
    }

    /// The first event of this member for which `pick` has an answer.
    fn wait<T>(&mut self, who: &str, pick: impl Fn(&Event) -> Option<T>) -> Result<T, Failure> {
        let found = |heard: &Heard| if heard.who.as_str() == who { pick(&heard.event) } else { None };
        if let Some(place) = self.aside.iter().position(|heard| found(heard).is_some()) {
            let heard = self.aside.remove(place);
            return Ok(found(&heard).expect("it was just found"));
        }
        loop {
            match self.events.recv_timeout(STEP_WITHIN) {
                Ok(heard) => match found(&heard) {
                    Some(answer) => return Ok(answer),
                    None => self.aside.push(heard),
                },
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(Phrase::new("demo-failed").with("who", who).into());
                }
            }
        }
    }
}
