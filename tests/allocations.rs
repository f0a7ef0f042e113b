//! A busy relay allocates nothing per packet or letter. Counts allocations on the thread of the
//! real event loop (core, sockets, and submission to the store), while two clients on another
//! thread exchange letters.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use queqiao::app::RelayServer;
use queqiao::base::{Effect, HostPort, Input, InputSource, OutboxId, Outputs, Tick, turn};
use queqiao::client::{Carriers, Client, Command, Config, Event, Progress, Record, RelayConfig};
use queqiao::net::{self, Net, NetConfig, PollGroup};
use queqiao::relay::{Command as RelayCommand, Limits};
use queqiao::store::RelayStore;

/// Letters before counting starts. By then every buffer has reached its size.
const WARM_UP: u64 = 2_000;
/// Letters that are counted.
const LETTERS: u64 = 10_000;
/// Upper bound, one for five letters: a buffer grows now and then, and on a busy machine a letter
/// may go through the disk.
const ALLOCATIONS_MAX: u64 = LETTERS / 5;

#[test]
fn single_letters_cost_no_allocation() {
    hold(Carriers::Udp, 1);
}

#[test]
fn letters_in_window_of_64_cost_no_allocation() {
    hold(Carriers::Udp, 64);
}

#[test]
fn letters_over_tcp_cost_no_allocation() {
    hold(Carriers::Tcp, 1);
    hold(Carriers::Tcp, 64);
}

fn hold(carriers: Carriers, window: u64) {
    let (allocations, packets) = allocations_of_the_relay(carriers, window);
    println!("{carriers:?} window {window}: {allocations} allocations, {LETTERS} letters, {packets} packets");
    assert!(allocations <= ALLOCATIONS_MAX, "{allocations} allocations");
}

/// Returns the allocations of the relay's thread while [`LETTERS`] letters pass, and the packets
/// that it received and sent in the meantime.
fn allocations_of_the_relay(carriers: Carriers, window: u64) -> (u64, u64) {
    let loopback = "127.0.0.1:0".parse().unwrap();
    let (store, state) = RelayStore::in_memory(net::seed()).unwrap();
    let limits = Limits { per_sender: false, ..Limits::default() };
    let config = NetConfig::relay(loopback, Some(loopback));
    let server = RelayServer::open(config, store, state, limits).unwrap();
    let relay = HostPort::from(server.udp_addr());
    let inlet = server.loop_handle();
    let (sender, receiver) = channel();
    let counter = thread::spawn(move || count(server, &sender));
    Talk::new(relay, carriers).run(window, &receiver);
    assert!(inlet.command(RelayCommand::Stop));
    counter.join().unwrap()
}

/// Runs the relay's loop. Signals when counting is done, and continues until stopped.
fn count(mut server: RelayServer, sender: &Sender<()>) -> (u64, u64) {
    let until = |server: &mut RelayServer, letters: u64| {
        while server.stats().letters_stored < letters {
            assert!(server.turn(|_| ()).unwrap(), "the relay is stopped only after counting");
        }
    };
    until(&mut server, WARM_UP);
    let before = server.net_stats();
    let counted = allocation_counter::measure(|| until(&mut server, WARM_UP + LETTERS));
    let after = server.net_stats();
    sender.send(()).unwrap();
    while server.turn(|_| ()).unwrap() {}
    let packets =
        |stats: net::Stats| stats.datagrams_in + stats.datagrams_out + stats.records_in + stats.records_out;
    (counted.count_total, packets(after) - packets(before))
}

/// One client with its sockets and queues.
struct End {
    client: Client,
    net: Net<Command>,
    commands: VecDeque<Command>,
    events: Vec<Event>,
    out: Outputs<Record, Event>,
    until: Option<Tick>,
}

struct Fed<'a>(&'a mut VecDeque<Command>, &'a mut Net<Command>);

impl InputSource<Command> for Fed<'_> {
    fn next_input(&mut self) -> Option<Input<'_, Command>> {
        match self.0.pop_front() {
            Some(command) => Some(Input::Command(command)),
            None => self.1.next_input(),
        }
    }
}

impl End {
    fn new(name: &str, relay: &HostPort, carriers: Carriers) -> End {
        let config = Config {
            name: Some(name.parse().unwrap()),
            private_key: net::seed(),
            outbox: OutboxId(7),
            carriers,
            counter_reserved: 0,
            persisted: None,
            strangers_bytes_max: 0,
            seed: net::seed(),
        };
        let spec = RelayConfig { addr: relay.clone(), tcp: None, key: None, fingerprint: None };
        End {
            client: Client::new(config),
            net: Net::new(NetConfig::client()).unwrap(),
            commands: VecDeque::from([Command::Relays(vec![spec])]),
            events: Vec::new(),
            out: Outputs::default(),
            until: Some(Tick::ZERO),
        }
    }

    fn turn(&mut self) {
        self.net.wait(Some(Tick::ZERO));
        let now = self.net.now();
        let deadline =
            turn(&mut self.client, now, &mut Fed(&mut self.commands, &mut self.net), &mut self.out);
        let events = &mut self.events;
        let inlet = self.net.loop_handle();
        self.net.carry_out(&mut self.out, |effect| match effect {
            Effect::Persist(ticket, _) => inlet.committed(ticket),
            Effect::Show(event) => events.push(event),
            _ => {}
        });
        self.until = self.net.sleep_until(deadline);
    }
}

/// Two clients on this thread. The first writes to the second.
struct Talk {
    relay: HostPort,
    group: PollGroup,
    ends: [End; 2],
    online: usize,
    in_flight: u64,
    written: u64,
}

impl Talk {
    fn new(relay: HostPort, carriers: Carriers) -> Talk {
        let mut ends = ["TOM", "JACK"].map(|name| End::new(name, &relay, carriers));
        let mut group = PollGroup::new().unwrap();
        ends.iter_mut().enumerate().for_each(|(number, end)| group.join(number, &mut end.net).unwrap());
        Talk { relay, group, ends, online: 0, in_flight: 0, written: 0 }
    }

    /// Keeps a window of letters in flight until the relay's thread has counted enough.
    fn run(&mut self, window: u64, counted: &Receiver<()>) {
        let mut ready = vec![0, 1];
        while counted.try_recv().is_err() {
            ready.drain(..).for_each(|number| self.ends[number].turn());
            self.take_events();
            while self.online == 2 && self.in_flight < window {
                self.write();
            }
            let now = self.group.now().tick;
            let look = now + std::time::Duration::from_millis(5);
            let until =
                self.ends.iter().filter_map(|end| end.until).min().map_or(look, |until| until.min(look));
            let idle = self.ends[0].commands.is_empty();
            let now = self.group.wait(if idle { until } else { now }, &mut ready).tick;
            let due = |number: &usize| self.ends[*number].until.is_some_and(|until| until <= now);
            ready.extend((0..2).filter(due));
            ready.extend((!idle).then_some(0));
        }
    }

    fn take_events(&mut self) {
        for event in self.ends.iter_mut().flat_map(|end| end.events.drain(..)) {
            match event {
                Event::Online { .. } => self.online += 1,
                Event::Progress { progress: Progress::Delivered, .. } => self.in_flight -= 1,
                Event::Progress { .. } | Event::Letter(_) | Event::Pinned { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn write(&mut self) {
        self.written += 1;
        self.in_flight += 1;
        let request = self.written;
        let relay = self.relay.clone();
        let to = "JACK".parse().unwrap();
        self.ends[0].commands.push_back(Command::Send { request, relay, to, text: "x".repeat(100) });
    }
}
