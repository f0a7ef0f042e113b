//! Texts of guests on their way to letters.

use std::borrow::Cow;

use crate::base::{Name, Path, Tick};
use crate::relay::Out;
use crate::relay::limits::source;

use super::echo::echo;
use super::guest::GuestReply;
use super::line_splitter::LINE_MAX;
use super::raw_input::{OtherProtocol, RawInput, other_protocol};
use super::text::{Charset, GuestEncoding};
use super::words::{self, BYE, Line};
use super::{Guests, PendingGuestAction, admission, for_echo, send_greeting};

impl Guests {
    /// Handles a text datagram, or an empty one, which only fetches replies.
    pub(in crate::relay) fn handle_datagram(&mut self, now: Tick, path: Path, raw: &[u8], out: &mut Out) {
        let Some(from) = path.udp_peer() else { return };
        if !admission::is_possible(from) {
            self.forged += 1;
            return;
        }
        let (text, wide) = match self.rules.encoding {
            GuestEncoding::Auto => RawInput::of_datagram(raw),
            GuestEncoding::Utf8 | GuestEncoding::Gbk => (Cow::Borrowed(raw), None),
        };
        let bytes = &*text;
        let guest = self.guests.get(&path);
        let (before, class) = match guest {
            Some(guest) => (guest.line_splitter.charset(), Some(guest.class)),
            None => (Charset::default(), None),
        };
        let charset = match wide {
            Some(_) => Charset::Utf8,
            None if before.is_wide() => self.rules.encoding.charset_of(Charset::Utf8, bytes, true),
            None => self.rules.encoding.charset_of(before, bytes, true),
        };
        if !bytes.is_empty() && !self.admission.admit_source(now, from.ip()) {
            self.refused += 1;
            return;
        }
        if let Some(text) = for_echo(&self.rules, bytes) {
            match self.echoes.admit(now, from, charset, text) {
                true => reply_echo(path, charset, wide, text, out),
                false => self.refused += 1,
            }
            return;
        }
        let line = words::without_end(bytes);
        let admitted = match class {
            _ if other_protocol(line, class.is_none()).is_some() => false,
            Some(class) => line.is_empty() || self.admission.admit_guest(now, class),
            None if line.is_empty() => return,
            None => self.admission.admit_stranger(now, from),
        };
        // A longer text becomes several letters, and each of them counts.
        let more = line.len().saturating_sub(1) / LINE_MAX;
        if !admitted || !(0..more).all(|_| self.admission.admit_source(now, from.ip())) {
            self.refused += 1;
            return;
        }
        if class.is_none() {
            self.insert(now, path, from, None);
        }
        self.take_datagram(now, path, charset, wide, bytes, out);
    }

    fn take_datagram(
        &mut self,
        now: Tick,
        path: Path,
        charset: Charset,
        wide: Option<Charset>,
        bytes: &[u8],
        out: &mut Out,
    ) {
        let Some(guest) = self.guests.get_mut(&path) else { return };
        let line = words::without_end(bytes);
        if !bytes.is_empty() {
            guest.line_splitter.note_datagram(wide.unwrap_or(charset), line.len() < bytes.len());
        }
        guest.handle_datagram(now, out);
        self.assign_udp_slot(now, path);
        self.schedule(path);
        self.queue_text(path, charset, line);
    }

    pub(super) fn take_letters(
        &mut self,
        now: Tick,
        path: Path,
        letters: Vec<(Charset, Vec<u8>)>,
        out: &mut Out,
    ) {
        for (charset, letter) in letters {
            let Some(guest) = self.guests.get_mut(&path) else { return };
            if !self.byte_budgets.admit(now, source(guest.remote.ip())) {
                self.refused += 1;
                return self.close(path);
            }
            guest.greet_at = None;
            if let Some(text) = for_echo(&self.rules, &letter) {
                send_greeting(guest, &self.rules.greeting, out);
                let wide = Some(guest.line_splitter.charset()).filter(|wide| wide.is_wide());
                reply_echo(path, charset, wide, text, out);
                continue;
            }
            if let Some(protocol) = other_protocol(&letter, !guest.has_written) {
                self.refused += 1;
                if protocol == OtherProtocol::Http {
                    out.send(path, http_answer(&self.rules.texts.no_web).as_bytes());
                }
                return self.close(path);
            }
            match words::read(&letter) {
                Line::Bye => {
                    let _ = guest.write(now, BYE, out);
                    return self.close(path);
                }
                Line::Gone => return self.close(path),
                Line::Empty => {}
                Line::Text(_) if !self.assign_tcp_slot(path) => {
                    self.reply(path, GuestReply::Full, out);
                    return self.close(path);
                }
                Line::Text(text) => self.queue_text(path, charset, text),
            }
        }
    }

    /// Queues a text as a letter to the recipient it names, if allowed, or to the default one.
    fn queue_text(&mut self, path: Path, charset: Charset, bytes: &[u8]) {
        let Some(guest) = self.guests.get_mut(&path).filter(|_| !bytes.is_empty()) else { return };
        guest.has_written = true;
        self.index.insert(guest.id, &guest.name, path);
        let text = charset.decode(bytes);
        let addressed =
            text.strip_prefix('@').and_then(|rest| rest.split_once(' ')).filter(|_| self.rules.anyone);
        let addressed =
            addressed.and_then(|(name, rest)| Some((name.parse::<Name>().ok()?, rest.to_owned())));
        let (to, text) = addressed.unwrap_or((self.rules.to.clone(), text));
        for text in pieces(&text) {
            self.pending.push_back(PendingGuestAction::Letter { path, to: to.clone(), text });
        }
    }
}

/// Echoes a text, in UTF-16 if it came in that.
fn reply_echo(path: Path, charset: Charset, wide: Option<Charset>, text: &[u8], out: &mut Out) {
    match wide {
        None => echo(path, charset, text, out),
        Some(wide) => out.send(path, &wide.encode(&charset.decode(text).to_ascii_uppercase())),
    }
}

/// Returns the pieces of a text that are letters: at most [`LINE_MAX`] bytes each.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for char in text.chars() {
        match pieces.last_mut() {
            Some(last) if last.len() + char.len_utf8() <= PIECE_MAX => last.push(char),
            _ => pieces.push(char.to_string()),
        }
    }
    pieces
}

/// Longest letter of a guest in UTF-8: a line of [`LINE_MAX`] bytes of GBK may be longer than them.
const PIECE_MAX: usize = 2 * LINE_MAX;

/// Returns an answer to a web browser.
fn http_answer(text: &str) -> String {
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{text}\n", text.len() + 1)
}
