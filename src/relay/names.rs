//! Signing in: which name a session stands for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::{Effect, Now, Path, Tick};
use crate::wire::message::{NameReason, ToClient};

use super::limits::source;
use super::mailbox::Wait;
use super::members::{Claim, MemberId};
use super::sessions::{SignIn, Slot};
use super::{Event, Out, Record, Relay};

/// Sources remembered for the limit on names; above it the whole table is forgotten, which errs on the kind side.
const SOURCES_MAX: usize = 4_096;
const HOUR: Duration = Duration::from_secs(3_600);

/// How many names each source has registered lately.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    by_source: BTreeMap<IpAddr, (Tick, u32)>,
}

impl Registrations {
    /// Counts one more name of this source; `false` if it has had its share of the hour.
    fn admits(&mut self, now: Tick, ip: IpAddr, per_hour: u32) -> bool {
        if ip.is_loopback() {
            return true;
        }
        if self.by_source.len() >= SOURCES_MAX {
            self.by_source.clear();
        }
        let (since, count) = self.by_source.entry(source(ip)).or_insert((now, 0));
        if now.since(*since) >= HOUR {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= per_hour
    }
}

impl Relay {
    /// A session says who it is.
    pub(super) fn sign_in(&mut self, now: Now, slot: Slot, name: &str, out: &mut Out) {
        let Some(session) = self.sessions.get(slot) else { return };
        if session.sign_in != SignIn::None {
            return;
        }
        let (key, path) = (session.key, session.peer.path());
        match self.members.claim(name, key) {
            Claim::Owned(member) => self.welcome(now, slot, member, out),
            Claim::Waiting(member) => self.await_registration(slot, member),
            Claim::Refused(reason, in_the_way) => {
                let in_the_way = in_the_way.as_ref().map_or("", |n| n.as_str());
                self.refuse_name(slot, reason, in_the_way);
            }
            Claim::New(member) => {
                let places = self.places.len().max(member.0 + 1);
                self.places.resize_with(places, Default::default);
                let per_hour = self.limits.names_per_hour;
                let ip = self.remote_ip(path);
                let admitted = !self.limits.per_sender
                    || ip.is_none_or(|ip| self.registrations.admits(now.tick, ip, per_hour));
                if !admitted {
                    self.members.abandon(member);
                    return self.refuse_name(slot, NameReason::TooMany, "");
                }
                self.await_registration(slot, member);
                let record = Record::Member { name: self.members.name(member).clone(), key };
                out.effects.push(Effect::Persist(self.tickets.issue(Wait::Member(member)), record));
            }
        }
    }

    /// A registration became durable, or could not.
    pub(super) fn handle_registered(&mut self, now: Now, member: MemberId, durable: bool, out: &mut Out) {
        if durable {
            self.members.confirm(member);
        } else {
            self.members.abandon(member);
        }
        for slot in self.sessions.waiting_for(member) {
            if durable {
                self.welcome(now, slot, member, out);
            } else {
                self.refuse_name(slot, NameReason::Disk, "");
            }
        }
    }

    fn await_registration(&mut self, slot: Slot, member: MemberId) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session.sign_in = SignIn::Waiting(member);
        }
    }

    /// The session is this member's now, and any earlier one is told so.
    fn welcome(&mut self, now: Now, slot: Slot, member: MemberId, out: &mut Out) {
        let earlier = self.places[member.0].session.replace(slot);
        if let Some(earlier) = earlier.filter(|e| *e != slot) {
            self.displace(now, earlier);
            self.places[member.0].queue.session_ended();
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.sign_in = SignIn::Done(member);
        session.say(&ToClient::Welcome {
            text_max: self.limits.text_max() as u32,
            mailbox_letters: self.limits.pair_letters as u32,
            mailbox_bytes: self.limits.pair_bytes as u64,
            kept_s: u32::try_from(self.limits.keep.as_secs()).unwrap_or(u32::MAX),
        });
        self.places[member.0].flows.begin_session();
        self.sessions.set_stranger(slot, false);
        self.sessions.mark(slot);
        out.show(Event::SignedIn(self.members.name(member).clone()));
        self.read_chat(now, slot, out);
    }

    fn refuse_name(&mut self, slot: Slot, reason: NameReason, name: &str) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session.sign_in = SignIn::Refused;
            session.say(&ToClient::NameRefused { reason, name });
            self.sessions.mark(slot);
        }
    }

    fn remote_ip(&self, path: Option<Path>) -> Option<IpAddr> {
        match path? {
            Path::Udp(addr) => Some(addr.ip()),
            Path::Tcp(conn) => self.conns.remote(conn).map(|addr| addr.ip()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_registers_a_few_names_an_hour() {
        let mut registrations = Registrations::default();
        let (start, ip) = (Tick::from_micros(1), IpAddr::from([192, 0, 2, 1]));
        assert!((0..5).all(|_| registrations.admits(start, ip, 5)));
        assert!(!registrations.admits(start, ip, 5));
        assert!(registrations.admits(start, IpAddr::from([192, 0, 2, 2]), 5));
        assert!(registrations.admits(start + HOUR, ip, 5));
        assert!((0..50).all(|_| registrations.admits(start, IpAddr::from([127, 0, 0, 1]), 5)));
    }
}
