//! Input from other threads: commands, commits and look-up results reach the loop through an
//! [`Inlet`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use mio::Waker;

use crate::base::{HostPort, Row, Ticket};

/// Maximum commands waiting in the inlet. At the limit [`Inlet::command`] blocks its thread and
/// [`Inlet::try_command`] returns the command. So lines piped in are read no faster than the loop
/// takes them.
pub const COMMANDS_MAX: usize = 4096;

/// Passes commands and replies of the store to a [`Net`](super::Net) from any thread, and wakes it
/// if it may sleep.
pub struct Inlet<C> {
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    mail: Mutex<Mailbag<C>>,
    room: Condvar,
    waker: Waker,
}

struct Mailbag<C> {
    /// Commands: at most [`COMMANDS_MAX`]. Commits and rows: at most one for each pending ticket of
    /// the core. Look-ups: as many as the resolver runs at once.
    waiting: VecDeque<Mail<C>>,
    commands: usize,
    closed: bool,
}

pub(super) enum Mail<C> {
    Command(C),
    Committed(Ticket),
    NotCommitted(Ticket),
    Rows(Ticket, Vec<Row>),
    Resolved(HostPort, Vec<SocketAddr>),
}

impl<C> Clone for Inlet<C> {
    fn clone(&self) -> Self {
        Inlet { shared: Arc::clone(&self.shared) }
    }
}

impl<C> std::fmt::Debug for Inlet<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inlet")
    }
}

impl<C> Inlet<C> {
    pub(super) fn new(waker: Waker) -> Inlet<C> {
        let mail = Mutex::new(Mailbag { waiting: VecDeque::new(), commands: 0, closed: false });
        Inlet { shared: Arc::new(Shared { mail, room: Condvar::new(), waker }) }
    }

    /// Passes a command to the loop. Blocks while [`COMMANDS_MAX`] commands wait, so it must not be
    /// called from the loop's own thread. Returns `false` if the loop has ended.
    pub fn command(&self, command: C) -> bool {
        let mut mail = self.lock();
        while mail.commands >= COMMANDS_MAX && !mail.closed {
            mail = self.shared.room.wait(mail).expect("nothing panics while it holds this lock");
        }
        self.put(mail, Mail::Command(command)).is_ok()
    }

    /// Passes a command to the loop without waiting.
    ///
    /// # Errors
    ///
    /// Returns the command if [`COMMANDS_MAX`] commands wait already or the loop has ended.
    pub fn try_command(&self, command: C) -> Result<(), C> {
        let mail = self.lock();
        if mail.commands >= COMMANDS_MAX {
            return Err(command);
        }
        match self.put(mail, Mail::Command(command)) {
            Err(Mail::Command(command)) => Err(command),
            _ => Ok(()),
        }
    }

    /// Reports to the core that the record of this ticket is durable.
    pub fn committed(&self, ticket: Ticket) {
        let _ = self.put(self.lock(), Mail::Committed(ticket));
    }

    /// Reports to the core that the record of this ticket could not be made durable.
    pub fn not_committed(&self, ticket: Ticket) {
        let _ = self.put(self.lock(), Mail::NotCommitted(ticket));
    }

    /// Passes the core the rows it requested.
    pub fn rows(&self, ticket: Ticket, rows: Vec<Row>) {
        let _ = self.put(self.lock(), Mail::Rows(ticket, rows));
    }

    pub(super) fn resolved(&self, host: HostPort, addrs: Vec<SocketAddr>) {
        let _ = self.put(self.lock(), Mail::Resolved(host, addrs));
    }

    /// Moves all waiting inputs into the empty `taken`.
    pub(super) fn take(&self, taken: &mut VecDeque<Mail<C>>) {
        let mut mail = self.lock();
        if mail.commands >= COMMANDS_MAX {
            self.shared.room.notify_all();
        }
        mail.commands = 0;
        std::mem::swap(&mut mail.waiting, taken);
    }

    /// Refuses all further inputs and drops the waiting ones.
    pub(super) fn close(&self) {
        let mut mail = self.lock();
        mail.closed = true;
        mail.waiting.clear();
        self.shared.room.notify_all();
    }

    /// Adds an input. Only the first waiting one wakes the loop, because the loop takes all of them
    /// at once.
    fn put(&self, mut mail: MutexGuard<'_, Mailbag<C>>, piece: Mail<C>) -> Result<(), Mail<C>> {
        if mail.closed {
            return Err(piece);
        }
        let first = mail.waiting.is_empty();
        mail.commands += usize::from(matches!(piece, Mail::Command(_)));
        mail.waiting.push_back(piece);
        drop(mail);
        if first {
            self.shared.waker.wake().expect("the waker's own descriptor accepts a wake-up");
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Mailbag<C>> {
        self.shared.mail.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inlet() -> (mio::Poll, Inlet<u32>) {
        let poll = mio::Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), mio::Token(0)).unwrap();
        (poll, Inlet::new(waker))
    }

    #[test]
    fn full_inlet_returns_commands_but_takes_commits() {
        let (_poll, inlet) = inlet();
        for i in 0..COMMANDS_MAX {
            inlet.try_command(i as u32).unwrap();
        }
        assert_eq!(inlet.try_command(7), Err(7));
        inlet.committed(Ticket(1));
        let mut taken = VecDeque::new();
        inlet.take(&mut taken);
        assert_eq!(taken.len(), COMMANDS_MAX + 1);
        assert_eq!(inlet.try_command(7), Ok(()));
    }

    #[test]
    fn blocked_thread_resumes_when_loop_takes_input_or_ends() {
        let (_poll, inlet) = inlet();
        let feeder = std::thread::spawn({
            let inlet = inlet.clone();
            move || (0..).take_while(|i| inlet.command(*i)).count()
        });
        let mut seen = 0;
        let mut taken = VecDeque::new();
        while seen < 3 * COMMANDS_MAX {
            inlet.take(&mut taken);
            assert!(taken.len() <= COMMANDS_MAX);
            seen += taken.drain(..).count();
            std::thread::yield_now();
        }
        inlet.close();
        assert!(feeder.join().unwrap() >= seen);
        assert!(!inlet.command(1));
    }
}
