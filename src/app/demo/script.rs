//! Conversation of the demo without a terminal. It uses both carriers, UDP is cut in the middle of
//! it, and one member leaves and finds its letters on return. Each line waits for its event.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::base::{Carrier, LetterId, Phrase};
use crate::client::{Carriers, Event, MoveReason, Progress};
use crate::ui::notice;

use super::super::{CommandResult, ExitStatus, Failure, Setup, print};
use super::player::{DemoEvent, Player};
use super::proxy::{CuttableProxy, ProxyEvent};
use super::{CAST, DemoRelay, name};

/// Time limit for each step. 5 s: a step takes milliseconds, the return to UDP a second; the rest
/// is for a loaded machine.
const STEP_WITHIN: Duration = Duration::from_secs(5);

/// First letters: sender, recipient and text.
const SCRIPT: [(&str, &str, &str); 6] = [
    ("TOM", "JACK", "约不"),
    ("JACK", "TOM", "不约"),
    ("一棵树", "武大郎", "Is there bread today?"),
    ("武大郎", "一棵树", "有，刚出炉！"),
    ("TOM", "echo", "hello over udp"),
    ("JACK", "echo", "hello over tcp"),
];
/// Member whose UDP is cut, and the letters during the cut and after it.
const PROXIED: &str = "TOM";
const CUT: [(&str, &str, &str); 2] = [("TOM", "JACK", "还在吗？"), ("JACK", "TOM", "在，走的是 TCP")];
const MENDED: [(&str, &str, &str); 2] = [("TOM", "JACK", "back on UDP"), ("JACK", "TOM", "欢迎回来")];
/// Member that leaves, and the letters that wait for it.
const TRAVELLER: &str = "武大郎";
const AWAY: [(&str, &str, &str); 2] =
    [("一棵树", "武大郎", "Keep two loaves for me"), ("一棵树", "武大郎", "晚上来取")];

/// Runs the conversation and prints it.
///
/// # Errors
/// Status 1 if a step fails, or takes too long.
pub(super) fn run_script(demo_relay: &DemoRelay, setup: &Setup) -> CommandResult {
    let relay = demo_relay.config.addr.as_socket_addr().expect("the relay has a numeric address");
    let proxy =
        CuttableProxy::open(relay).map_err(|error| Phrase::new("cannot-start").with("cause", error))?;
    let (event_sender, events) = channel();
    let mut script = DemoScript {
        setup,
        relay: demo_relay,
        proxy: &proxy,
        event_sender,
        events,
        players: Vec::new(),
        aside: Vec::new(),
        said: 0,
    };
    let result = script.run();
    script.players.drain(..).for_each(|player| drop(player.leave()));
    proxy.close();
    result
}

struct DemoScript<'a> {
    setup: &'a Setup,
    relay: &'a DemoRelay,
    proxy: &'a CuttableProxy,
    event_sender: Sender<DemoEvent>,
    events: Receiver<DemoEvent>,
    players: Vec<Player>,
    /// Events that arrived before they were waited for.
    aside: Vec<DemoEvent>,
    said: u64,
}

impl DemoScript<'_> {
    fn run(&mut self) -> CommandResult {
        for (who, carriers) in CAST {
            let mut member = self.relay.member(who, carriers);
            if who == PROXIED {
                member.carriers = Carriers::Auto;
                member.relay.tcp = Some(member.relay.addr);
                member.relay.addr = self.proxy.addr().into();
            }
            self.players.push(Player::enter(member, self.event_sender.clone(), Vec::new())?);
        }
        self.line(&Phrase::new("demo-relay").with("relay", &self.relay.config.addr))?;
        for (who, _) in CAST {
            let via = self.online(who)?;
            if (who, via) == (PROXIED, Carrier::Tcp) {
                self.moved(PROXIED, Carrier::Udp)?;
            }
        }
        self.talk(&SCRIPT)?;
        self.cut_udp()?;
        self.travel()?;
        self.nothing_twice()?;
        self.line(&Phrase::new("demo-done").with("count", self.said))?;
        Ok(ExitStatus::Done)
    }

    /// Cuts UDP in the middle of the conversation, and restores it.
    fn cut_udp(&mut self) -> Result<(), Failure> {
        self.proxy.cut(true);
        let [(from, to, text), answer] = CUT;
        let request = self.say(from, to, text);
        self.await_proxy_event(ProxyEvent::Swallowed, "demo-cut")?;
        self.moved(PROXIED, Carrier::Tcp)?;
        self.letter(request, (from, to, text), Some(Carrier::Tcp))?;
        self.talk(&[answer])?;
        self.proxy.cut(false);
        self.await_proxy_event(ProxyEvent::Passed, "demo-mended")?;
        self.moved(PROXIED, Carrier::Udp)?;
        self.talk(&MENDED)
    }

    /// Lets a member leave, and find its letters on return.
    fn travel(&mut self) -> Result<(), Failure> {
        let place = self.place(TRAVELLER);
        let member = self.players.remove(place).leave();
        self.aside.extend(self.events.try_iter());
        self.line(&Phrase::new("demo-left").with("who", TRAVELLER))?;
        let mut requests = Vec::new();
        for (from, to, text) in AWAY {
            let request = self.say(from, to, text);
            let (id, via) = self.progress(request, from, |p| matches!(p, Progress::Waiting { .. }))?;
            let waits = Phrase::new("demo-waits").with("from", from).with("to", to).with("via", via);
            self.line(&waits.with("text", text).with("id", id))?;
            requests.push((request, (from, to, text)));
        }
        self.players.push(Player::enter(member, self.event_sender.clone(), Vec::new())?);
        self.online(TRAVELLER)?;
        requests.into_iter().try_for_each(|(request, line)| self.letter(request, line, None))
    }

    fn talk(&mut self, lines: &[(&str, &str, &str)]) -> Result<(), Failure> {
        for (from, to, text) in lines {
            let request = self.say(from, to, text);
            self.letter(request, (from, to, text), None)?;
        }
        Ok(())
    }

    fn place(&self, who: &str) -> usize {
        let place = self.players.iter().position(|player| player.member.name.as_str() == who);
        place.expect("the script uses names of `CAST`")
    }

    fn say(&mut self, from: &str, to: &str, text: &str) -> u64 {
        self.said += 1;
        self.players[self.place(from)].say(self.said, &name(to), text);
        self.said
    }

    fn line(&self, phrase: &Phrase) -> Result<(), Failure> {
        print(&self.setup.strings.say(phrase)).map(drop)
    }

    fn online(&mut self, who: &str) -> Result<Carrier, Failure> {
        let online = self.wait(who, |event| match event {
            Event::Online { via, .. } => Some(*via),
            _ => None,
        })?;
        self.line(&Phrase::new("demo-online").with("who", who).with("via", online))?;
        Ok(online)
    }

    /// Waits until this member continues over carrier `wanted`, and prints the reason it gives.
    fn moved(&mut self, who: &str, wanted: Carrier) -> Result<(), Failure> {
        let moved = self.wait(who, |event| match event {
            Event::Moved {
                via, reason: MoveReason::Silent | MoveReason::Poor | MoveReason::Proved, ..
            } if *via == wanted => Some(event.clone()),
            _ => None,
        })?;
        let what = notice::of_event(&moved, who).map(|phrase| self.setup.strings.say(&phrase));
        let line = Phrase::new("demo-moved").with("who", who).with("via", wanted);
        self.line(&line.with("what", what.unwrap_or_default()))
    }

    fn await_proxy_event(&self, wanted: ProxyEvent, key: &'static str) -> Result<(), Failure> {
        match self.proxy.wait(STEP_WITHIN) {
            Some(noticed) if noticed == wanted => self.line(&Phrase::new(key).with("who", PROXIED)),
            _ => Err(Phrase::new("demo-failed").with("who", PROXIED).into()),
        }
    }

    fn progress(
        &mut self,
        request: u64,
        from: &str,
        wanted: impl Fn(Progress) -> bool,
    ) -> Result<(LetterId, Carrier), Failure> {
        self.wait(from, |event| match event {
            Event::Progress { request: of, id, progress, via, .. } if *of == request && wanted(*progress) => {
                Some((*id, *via))
            }
            _ => None,
        })
    }

    /// Waits for one letter: its recipient shows it, then its sender sees `delivered`. A letter to
    /// `echo` is shown by its answer. With `wanted`, fails if it used another carrier.
    fn letter(
        &mut self,
        request: u64,
        (from, to, text): (&str, &str, &str),
        wanted: Option<Carrier>,
    ) -> Result<(), Failure> {
        let (reader, seen) = match to {
            "echo" => (from, text.to_ascii_uppercase()),
            _ => (to, text.to_owned()),
        };
        let letter = self.wait(reader, |event| match event {
            Event::Letter(letter) if letter.text == seen => Some(letter.clone()),
            _ => None,
        })?;
        let (id, via) = self.progress(request, from, |progress| progress == Progress::Delivered)?;
        if wanted.is_some_and(|wanted| wanted != via) {
            return Err(Phrase::new("demo-failed").with("who", from).into());
        }
        let sent = Phrase::new("demo-sent").with("from", from).with("to", to).with("via", via);
        self.line(&sent.with("text", text).with("id", id))?;
        let came = Phrase::new("demo-came").with("who", reader).with("via", letter.via);
        self.line(&came.with("from", &letter.from).with("text", &letter.text).with("id", letter.id))
    }

    /// Checks that no letter arrived twice: each was waited for once, so any letter left over is a
    /// duplicate.
    fn nothing_twice(&mut self) -> Result<(), Failure> {
        self.aside.extend(self.events.try_iter());
        match self.aside.iter().find(|event| matches!(event.event, Event::Letter(_))) {
            Some(event) => Err(Phrase::new("demo-twice").with("who", &event.who).into()),
            None => Ok(()),
        }
    }

    /// Returns the first event of this member for which `pick` returns a value.
    fn wait<T>(&mut self, who: &str, pick: impl Fn(&Event) -> Option<T>) -> Result<T, Failure> {
        let found = |event: &DemoEvent| if event.who.as_str() == who { pick(&event.event) } else { None };
        if let Some(place) = self.aside.iter().position(|event| found(event).is_some()) {
            let event = self.aside.remove(place);
            return Ok(found(&event).expect("`position` found it"));
        }
        loop {
            match self.events.recv_timeout(STEP_WITHIN) {
                Ok(event) => match found(&event) {
                    Some(answer) => return Ok(answer),
                    None => self.aside.push(event),
                },
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(Phrase::new("demo-failed").with("who", who).into());
                }
            }
        }
    }
}
