//! Queue of ready sources: each source at most once, first come first served.

use std::collections::VecDeque;

use mio::Token;

/// Sources that were announced ready and have not returned would-block since.
///
/// Invariant: a token is in the queue exactly if it is marked.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue {
    queue: VecDeque<Token>,
    marked: Vec<bool>,
}

impl ReadyQueue {
    pub(super) fn push(&mut self, token: Token) {
        if self.marked.len() <= token.0 {
            self.marked.resize(token.0 + 1, false);
        }
        if !std::mem::replace(&mut self.marked[token.0], true) {
            self.queue.push_back(token);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Token> {
        let token = self.queue.pop_front()?;
        self.marked[token.0] = false;
        Some(token)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_queued_once_and_in_order() {
        let mut ready = ReadyQueue::default();
        [3, 1, 3].into_iter().for_each(|token| ready.push(Token(token)));
        assert_eq!(ready.pop(), Some(Token(3)));
        ready.push(Token(3));
        assert_eq!([ready.pop(), ready.pop(), ready.pop()], [Some(Token(1)), Some(Token(3)), None]);
        assert!(ready.is_empty());
    }
}
