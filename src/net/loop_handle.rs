//! Input from other threads: commands, commits and look-up results reach the loop through an
//! [`LoopHandle`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use mio::Waker;

use crate::base::{HostPort, Input, Row, Ticket};

/// Maximum commands waiting in the queue. At the limit [`LoopHandle::command`] blocks its thread
/// and [`LoopHandle::try_command`] returns the command. So lines piped in are read no faster than
/// the loop takes them.
pub const COMMANDS_MAX: usize = 4096;

/// Addresses of a host, possibly none; `None` if no name server answered.
pub(super) type Answer = Option<Vec<SocketAddr>>;

/// Returns the input for an answer.
pub(super) fn input_of<C>(host: HostPort, answer: Answer) -> Input<'static, C> {
    match answer {
        Some(addrs) => Input::Resolved(host, addrs),
        None => Input::Unresolved(host),
    }
}

/// Passes commands and replies of the store to a [`Net`](super::Net) from any thread, and wakes it
/// if it may sleep.
pub struct LoopHandle<C> {
    shared: Arc<LoopShared<C>>,
}

struct LoopShared<C> {
    queue: Mutex<InputQueue<C>>,
    has_space: Condvar,
    waker: Waker,
}

struct InputQueue<C> {
    /// Commands: at most [`COMMANDS_MAX`]. Commits and rows: at most one for each pending ticket of
    /// the core. Look-ups: as many as the resolver runs at once.
    waiting: VecDeque<InjectedInput<C>>,
    commands: usize,
    closed: bool,
}

pub(super) enum InjectedInput<C> {
    Command(C),
    Committed(Ticket),
    NotCommitted(Ticket),
    Rows(Ticket, Vec<Row>),
    Resolved(HostPort, Answer),
}

impl<C> Clone for LoopHandle<C> {
    fn clone(&self) -> Self {
        LoopHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<C> std::fmt::Debug for LoopHandle<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inlet")
    }
}

impl<C> LoopHandle<C> {
    pub(super) fn new(waker: Waker) -> LoopHandle<C> {
        let queue = Mutex::new(InputQueue { waiting: VecDeque::new(), commands: 0, closed: false });
        LoopHandle { shared: Arc::new(LoopShared { queue, has_space: Condvar::new(), waker }) }
    }

    /// Passes a command to the loop. Blocks while [`COMMANDS_MAX`] commands wait, so it must not be
    /// called from the loop's own thread. Returns `false` if the loop has ended.
    pub fn command(&self, command: C) -> bool {
        let mut queue = self.lock();
        while queue.commands >= COMMANDS_MAX && !queue.closed {
            queue = self.shared.has_space.wait(queue).expect("nothing panics while it holds this lock");
        }
        self.put(queue, InjectedInput::Command(command)).is_ok()
    }

    /// Passes a command to the loop without waiting.
    ///
    /// # Errors
    ///
    /// Returns the command if [`COMMANDS_MAX`] commands wait already or the loop has ended.
    pub fn try_command(&self, command: C) -> Result<(), C> {
        let queue = self.lock();
        if queue.commands >= COMMANDS_MAX {
            return Err(command);
        }
        match self.put(queue, InjectedInput::Command(command)) {
            Err(InjectedInput::Command(command)) => Err(command),
            _ => Ok(()),
        }
    }

    /// Reports to the core that the record of this ticket is durable.
    pub fn committed(&self, ticket: Ticket) {
        let _ = self.put(self.lock(), InjectedInput::Committed(ticket));
    }

    /// Reports to the core that the record of this ticket could not be made durable.
    pub fn not_committed(&self, ticket: Ticket) {
        let _ = self.put(self.lock(), InjectedInput::NotCommitted(ticket));
    }

    /// Passes the core the rows it requested.
    pub fn rows(&self, ticket: Ticket, rows: Vec<Row>) {
        let _ = self.put(self.lock(), InjectedInput::Rows(ticket, rows));
    }

    pub(super) fn resolved(&self, host: HostPort, answer: Answer) {
        let _ = self.put(self.lock(), InjectedInput::Resolved(host, answer));
    }

    /// Moves all waiting inputs into the empty `taken`.
    pub(super) fn take(&self, taken: &mut VecDeque<InjectedInput<C>>) {
        let mut queue = self.lock();
        if queue.commands >= COMMANDS_MAX {
            self.shared.has_space.notify_all();
        }
        queue.commands = 0;
        std::mem::swap(&mut queue.waiting, taken);
    }

    /// Refuses all further inputs and drops the waiting ones.
    pub(super) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.waiting.clear();
        self.shared.has_space.notify_all();
    }

    /// Adds an input. Only the first waiting one wakes the loop, because the loop takes all of them
    /// at once.
    fn put(
        &self,
        mut queue: MutexGuard<'_, InputQueue<C>>,
        input: InjectedInput<C>,
    ) -> Result<(), InjectedInput<C>> {
        if queue.closed {
            return Err(input);
        }
        let first = queue.waiting.is_empty();
        queue.commands += usize::from(matches!(input, InjectedInput::Command(_)));
        queue.waiting.push_back(input);
        drop(queue);
        if first {
            self.shared.waker.wake().expect("the waker's own descriptor accepts a wake-up");
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, InputQueue<C>> {
        self.shared.queue.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle() -> (mio::Poll, LoopHandle<u32>) {
        let poll = mio::Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), mio::Token(0)).unwrap();
        (poll, LoopHandle::new(waker))
    }

    #[test]
    fn full_queue_returns_commands_but_takes_commits() {
        let (_poll, handle) = handle();
        for i in 0..COMMANDS_MAX {
            handle.try_command(i as u32).unwrap();
        }
        assert_eq!(handle.try_command(7), Err(7));
        handle.committed(Ticket(1));
        let mut taken = VecDeque::new();
        handle.take(&mut taken);
        assert_eq!(taken.len(), COMMANDS_MAX + 1);
        assert_eq!(handle.try_command(7), Ok(()));
    }

    #[test]
    fn blocked_thread_resumes_when_loop_takes_input_or_ends() {
        let (_poll, handle) = handle();
        let feeder = std::thread::spawn({
            let handle = handle.clone();
            move || (0..).take_while(|i| handle.command(*i)).count()
        });
        let mut seen = 0;
        let mut taken = VecDeque::new();
        while seen < 3 * COMMANDS_MAX {
            handle.take(&mut taken);
            assert!(taken.len() <= COMMANDS_MAX);
            seen += taken.drain(..).count();
            std::thread::yield_now();
        }
        handle.close();
        assert!(feeder.join().unwrap() >= seen);
        assert!(!handle.command(1));
    }
}
