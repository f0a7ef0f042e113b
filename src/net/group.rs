//! Several outsides on one thread.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::Net;
use super::clock::Clock;
use super::wait::EVENTS_LEN;
use crate::base::{Now, Phrase, Tick};

/// A poll counts in milliseconds, and rounds up.
const POLL_STEP: Duration = Duration::from_millis(1);

/// Waits for several [`Net`]s at once, by a poll over their polls: for a process that is many clients.
///
/// The law of use: each net that was named by [`Group::wait`], or whose [`Net::sleep_until`] has come, has one turn
/// (`net.wait(Some(Tick::ZERO))`, turn, carry out); then wait for all of them again.
#[derive(Debug)]
pub struct Group {
    poll: Poll,
    events: Events,
    clock: Clock,
}

impl Group {
    /// A group of none.
    ///
    /// # Errors
    /// `cannot-start` if the system refuses the poll.
    pub fn new() -> Result<Group, Phrase> {
        let poll = Poll::new().map_err(cannot_start)?;
        Ok(Group { poll, events: Events::with_capacity(EVENTS_LEN), clock: Clock::new() })
    }

    /// Takes a net in, under a number of the caller's.
    ///
    /// # Errors
    /// `cannot-start` if the system refuses.
    pub fn join<C: Send + 'static>(&self, number: usize, net: &Net<C>) -> Result<(), Phrase> {
        let fd = net.hub.poll.as_raw_fd();
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&fd), Token(number), Interest::READABLE).map_err(cannot_start)
    }

    /// Both clocks, read once; all nets of the process have the same.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Waits until a net has something, or `until` has come, and appends the numbers of those that have. It may answer
    /// up to a millisecond early, with none.
    pub fn wait(&mut self, until: Tick, ready: &mut Vec<usize>) -> Now {
        let timeout = until.since(self.clock.tick());
        let timeout = if timeout < POLL_STEP { self.wait_finely(timeout) } else { whole_steps(timeout) };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => ready.extend(self.events.iter().map(|event| event.token().0)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("the poll on our own descriptors failed: {error}"),
        }
        self.clock.now()
    }

    /// What is left of a short time after waiting it out, or for a net to have something.
    fn wait_finely(&self, timeout: Duration) -> Duration {
        let timespec = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
        if !timeout.is_zero() {
            // Interrupted is early, which is no harm.
            let _ =
                rustix::event::poll(&mut [PollFd::new(self.poll.registry(), PollFlags::IN)], Some(&timespec));
        }
        Duration::ZERO
    }
}

/// The longest time in whole steps that is not longer.
const fn whole_steps(timeout: Duration) -> Duration {
    Duration::from_millis(timeout.as_millis() as u64)
}

fn cannot_start(error: io::Error) -> Phrase {
    Phrase::new("cannot-start").with("cause", error)
}

impl<C: Send + 'static> Net<C> {
    /// When [`Net::wait`] would answer at the latest, given the core's deadline: [`Tick::ZERO`] if at once.
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
    use crate::base::{Effect, Inbox, Input, Outputs, Path};
    use crate::net::NetConfig;

    fn net() -> Net<u32> {
        Net::new(NetConfig::relay("127.0.0.1:0".parse().unwrap(), None)).unwrap()
    }

    /// One turn that counts the packets.
    fn turn(net: &mut Net<u32>) -> usize {
        net.wait(Some(Tick::ZERO));
        let mut packets = 0;
        while let Some(input) = net.next_input() {
            packets += usize::from(matches!(input, Input::Packet { .. }));
        }
        packets
    }

    #[test]
    fn each_net_of_a_group_is_named_when_it_has_something_and_then_rests() {
        let (mut group, mut nets) = (Group::new().unwrap(), [net(), net(), net()]);
        nets.iter().enumerate().for_each(|(number, net)| group.join(number, net).unwrap());
        let far = Tick::from_micros(u64::MAX / 2);
        for receiver in [1, 2, 1] {
            let path = Path::Udp(nets[receiver].udp_addr().unwrap());
            let mut out: Outputs<(), ()> = Outputs::default();
            out.send(path, b"x");
            nets[0].carry_out(&mut out, |effect: Effect<(), ()>| unreachable!("{effect:?}"));
            let (mut ready, mut packets) = (Vec::new(), 0);
            while packets == 0 {
                group.wait(far, &mut ready);
                for number in ready.drain(..) {
                    let came = turn(&mut nets[number]);
                    assert!(came == 0 || number == receiver);
                    packets += came;
                }
            }
            assert_eq!(nets[receiver].sleep_until(Some(far)), Some(far));
        }
        let (mut ready, now) = (Vec::new(), group.clock.tick());
        group.wait(now + Duration::from_millis(1), &mut ready);
        assert!(ready.is_empty(), "nothing is announced twice");
    }
}
