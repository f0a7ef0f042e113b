//! Several [`Net`]s on one thread, with one poll.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::clock::SystemClock;
use super::wait::EVENTS_LEN;
use super::{FIRST_UDP, Net, UDP_PORTS_MAX};
use crate::base::{Now, Phrase, Tick};

/// Tokens of one net: one for its poll, then one for each of its UDP sockets.
const TOKENS_EACH: usize = 1 + UDP_PORTS_MAX;
/// Resolution of a poll: it counts in milliseconds and rounds up.
const POLL_STEP: Duration = Duration::from_millis(1);

/// Waits for several [`Net`]s at once, for a process that runs many clients.
///
/// Their UDP sockets are registered in the group's poll. A datagram then wakes one poll instead of
/// two, and a net with only UDP input need not be polled. Their other sources stay in the polls of
/// the nets, which are registered in the group's poll too.
///
/// Usage: each net named by [`PollGroup::wait`], or whose [`Net::sleep_until`] has come, has one
/// turn (`net.wait(Some(Tick::ZERO))`, turn, carry out). Then wait for all of them again.
#[derive(Debug)]
pub struct PollGroup {
    poll: Poll,
    registry: Arc<Registry>,
    events: Events,
    clock: SystemClock,
    members: Vec<Option<Arc<PendingReadiness>>>,
}

/// Readiness that the group's poll reported for a net since the net last asked: one bit for the
/// net's poll, then some for each socket.
#[derive(Debug)]
pub(super) struct PendingReadiness(AtomicU16);

/// Readiness of one UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SocketReadiness {
    pub(super) writable: bool,
    pub(super) error: bool,
}

impl PendingReadiness {
    const POLL: u16 = 1;
    const READABLE: u16 = 1;
    const WRITABLE: u16 = 2;
    const ERROR: u16 = 4;
    const BITS_EACH: usize = 3;

    fn record(&self, port_index: usize, event: &Event) {
        let bits = match port_index.checked_sub(1) {
            None => PendingReadiness::POLL,
            Some(port) => {
                let bit = |is: bool, bit: u16| if is { bit } else { 0 };
                let writable = bit(event.is_writable(), PendingReadiness::WRITABLE);
                let bits =
                    PendingReadiness::READABLE | writable | bit(event.is_error(), PendingReadiness::ERROR);
                bits << (1 + port * PendingReadiness::BITS_EACH)
            }
        };
        self.0.fetch_or(bits, Ordering::Relaxed);
    }

    fn take(&self) -> u16 {
        self.0.swap(0, Ordering::Relaxed)
    }

    fn of_port(bits: u16, port: usize) -> Option<SocketReadiness> {
        let bits = bits >> (1 + port * PendingReadiness::BITS_EACH);
        let has = |bit| bits & bit != 0;
        has(PendingReadiness::READABLE).then(|| SocketReadiness {
            writable: has(PendingReadiness::WRITABLE),
            error: has(PendingReadiness::ERROR),
        })
    }
}

const _: () = assert!(UDP_PORTS_MAX * PendingReadiness::BITS_EACH < u16::BITS as usize);

/// The registration of a net in a group.
#[derive(Debug)]
pub(super) struct PollGroupToken {
    readiness: Arc<PendingReadiness>,
    registry: Arc<Registry>,
    first_token: usize,
}

impl PollGroup {
    /// Returns an empty group.
    ///
    /// # Errors
    /// Returns `cannot-start` if the system refuses the poll.
    pub fn new() -> Result<PollGroup, Phrase> {
        let poll = Poll::new().map_err(cannot_start)?;
        let registry = Arc::new(poll.registry().try_clone().map_err(cannot_start)?);
        let events = Events::with_capacity(EVENTS_LEN);
        Ok(PollGroup { poll, registry, events, clock: SystemClock::new(), members: Vec::new() })
    }

    /// Adds a net under `number`, a small number chosen by the caller.
    ///
    /// # Errors
    /// Returns `cannot-start` if the system refuses.
    pub fn join<C: Send + 'static>(&mut self, number: usize, net: &mut Net<C>) -> Result<(), Phrase> {
        let fd = net.ctx.poll.as_raw_fd();
        let first_token = number * TOKENS_EACH;
        let registry = self.registry.clone();
        registry
            .register(&mut SourceFd(&fd), Token(first_token), Interest::READABLE)
            .map_err(cannot_start)?;
        let readiness = Arc::new(PendingReadiness(AtomicU16::new(PendingReadiness::POLL)));
        if self.members.len() <= number {
            self.members.resize_with(number + 1, || None);
        }
        self.members[number] = Some(readiness.clone());
        net.join_group(PollGroupToken { readiness, registry, first_token }).map_err(cannot_start)
    }

    /// Returns both clocks, read once; all nets of the process have the same clocks.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Waits until a net has input or `until` has come, and appends the numbers of such nets to
    /// `ready`. A number may appear twice. The wait may end up to 1 ms early with no number.
    pub fn wait(&mut self, until: Tick, ready: &mut Vec<usize>) -> Now {
        let timeout = until.since(self.clock.tick());
        let timeout = if timeout < POLL_STEP { self.wait_finely(timeout) } else { whole_steps(timeout) };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {
                for event in &self.events {
                    let number = event.token().0 / TOKENS_EACH;
                    let port_index = event.token().0 % TOKENS_EACH;
                    if let Some(Some(readiness)) = self.members.get(number) {
                        readiness.record(port_index, event);
                        ready.push(number);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("the poll on our own descriptors failed: {error}"),
        }
        self.clock.now()
    }

    /// Waits less than one poll step, or until a net has input, and returns the time left for the
    /// poll: none.
    fn wait_finely(&self, timeout: Duration) -> Duration {
        let timespec = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
        if !timeout.is_zero() {
            // An interrupted wait ends early, which is not an error.
            let _ =
                rustix::event::poll(&mut [PollFd::new(self.poll.registry(), PollFlags::IN)], Some(&timespec));
        }
        Duration::ZERO
    }
}

/// Rounds down to whole steps of the poll.
const fn whole_steps(timeout: Duration) -> Duration {
    Duration::from_millis(timeout.as_millis() as u64)
}

fn cannot_start(error: io::Error) -> Phrase {
    Phrase::new("cannot-start").with("cause", error)
}

impl PollGroupToken {
    /// Returns where a UDP socket of the net is registered in the group, and its token.
    pub(super) fn registration_of(&self, port: usize) -> (&Registry, Token) {
        (&self.registry, Token(self.first_token + 1 + port))
    }
}

impl<C: Send + 'static> Net<C> {
    fn join_group(&mut self, group_token: PollGroupToken) -> io::Result<()> {
        for (index, port) in self.udp.iter_mut().enumerate() {
            let (registry, token) = group_token.registration_of(index);
            port.move_to(self.ctx.poll.registry(), registry, token)?;
        }
        self.ctx.group_token = Some(group_token);
        Ok(())
    }

    /// Takes the readiness of sockets from the group. Returns whether to ask the net's own poll,
    /// which is always the case outside a group.
    pub(super) fn take_readiness(&mut self) -> bool {
        let Some(group_token) = &self.ctx.group_token else { return true };
        let bits = group_token.readiness.take();
        for port in 0..self.udp.len() {
            if let Some(socket_readiness) = PendingReadiness::of_port(bits, port) {
                self.note_udp(port, socket_readiness);
                self.ctx.ready.push(Token(FIRST_UDP + port));
            }
        }
        bits & PendingReadiness::POLL != 0
    }

    /// Lets datagrams and records wait until [`Net::release`]. For a process with many clients:
    /// their turns follow one another, although separate clients would take theirs at the same
    /// time.
    pub fn hold(&mut self) {
        self.ctx.holds = true;
        self.udp.iter_mut().for_each(|port| port.held = true);
    }

    /// Sends everything that waits since [`Net::hold`], and keeps holding. Returns whether inputs
    /// resulted, so that [`Net::wait`] would return at once.
    pub fn release(&mut self) -> bool {
        (0..self.udp.len()).for_each(|port| self.flush_udp(port));
        self.conns.write_all(&mut self.ctx);
        self.may_have_input()
    }

    /// Returns the latest time at which [`Net::wait`] would return for the core's deadline:
    /// [`Tick::ZERO`] means at once.
    pub fn sleep_until(&self, deadline: Option<Tick>) -> Option<Tick> {
        if self.may_have_input() {
            return Some(Tick::ZERO);
        }
        let timer = self.timers.first().map(|(until, _)| *until);
        deadline.into_iter().chain(timer).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Effect, Input, InputSource, Outputs, Path};
    use crate::net::NetConfig;

    fn net() -> Net<u32> {
        Net::new(NetConfig::relay("127.0.0.1:0".parse().unwrap(), None)).unwrap()
    }

    /// Runs one turn and returns the number of packets.
    fn turn(net: &mut Net<u32>) -> usize {
        net.wait(Some(Tick::ZERO));
        let mut packets = 0;
        while let Some(input) = net.next_input() {
            packets += usize::from(matches!(input, Input::Packet { .. }));
        }
        packets
    }

    #[test]
    fn net_with_input_is_announced_once_to_its_group() {
        let mut group = PollGroup::new().unwrap();
        let mut nets = [net(), net(), net()];
        nets.iter_mut().enumerate().for_each(|(number, net)| group.join(number, net).unwrap());
        let far = Tick::from_micros(u64::MAX / 2);
        for receiver in [1, 2, 1] {
            let path = Path::Udp(nets[receiver].udp_addr().unwrap());
            let mut out: Outputs<(), ()> = Outputs::default();
            out.send(path, b"x");
            nets[0].carry_out(&mut out, |effect: Effect<(), ()>| unreachable!("{effect:?}"));
            let mut ready = Vec::new();
            let mut packets = 0;
            while packets == 0 {
                group.wait(far, &mut ready);
                for number in ready.drain(..) {
                    let count = turn(&mut nets[number]);
                    assert!(count == 0 || number == receiver);
                    packets += count;
                }
            }
            assert_eq!(nets[receiver].sleep_until(Some(far)), Some(far));
        }
        let mut ready = Vec::new();
        let now = group.clock.tick();
        group.wait(now + Duration::from_millis(1), &mut ready);
        assert!(ready.is_empty(), "nothing is announced twice");
    }

    #[test]
    fn held_datagrams_leave_on_release_only() {
        let mut from = net();
        let mut to = net();
        from.hold();
        let path = Path::Udp(to.udp_addr().unwrap());
        for bytes in [b"one", b"two"] {
            let mut out: Outputs<(), ()> = Outputs::default();
            out.send(path, bytes);
            from.carry_out(&mut out, |effect: Effect<(), ()>| unreachable!("{effect:?}"));
        }
        assert_eq!(turn(&mut to), 0);
        from.release();
        let mut packets = 0;
        while packets < 2 {
            packets += turn(&mut to);
        }
        from.release();
        assert_eq!(turn(&mut to), 0, "nothing leaves twice");
    }
}
