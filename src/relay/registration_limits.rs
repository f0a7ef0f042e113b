//! Limits on registrations, refused claims and invitation secrets, for each source address.

use std::net::IpAddr;
use std::time::Duration;

use super::limits::{LOOKUP_RATE, Limits};
use super::new_names::NewNames;
use crate::base::{Rate, Tick};
use crate::session::SourceRateLimiter;

const HOUR: Duration = Duration::from_secs(3_600);
/// Invitation secrets tried from one address, except loopback: 20 in an hour. Guessing one is
/// infeasible; this bounds the work.
const SECRET_RATE: Rate = Rate::new(Duration::from_secs(180), 20);

/// Rates of registrations, refused claims and invitation secrets for each source. Tables of fixed
/// size.
#[derive(Debug)]
pub(super) struct RegistrationLimits {
    /// `None`: no registrations, except from loopback.
    new: Option<SourceRateLimiter>,
    /// `None`: the total is not limited.
    all: Option<NewNames>,
    refused: SourceRateLimiter,
    secrets: SourceRateLimiter,
}

impl RegistrationLimits {
    /// Returns full budgets. `key` is the secret of the tables' hashes.
    pub(super) fn new(key: [u8; 32], limits: &Limits) -> RegistrationLimits {
        let per_hour = limits.names_per_hour;
        let interval = HOUR.checked_div(per_hour);
        let all = limits.all_names_per_hour.filter(|_| limits.per_sender && !limits.closed);
        RegistrationLimits {
            new: interval.map(|interval| SourceRateLimiter::new(key, Rate::new(interval, per_hour))),
            all: all.map(|per_hour| NewNames::new(key, per_hour)),
            refused: SourceRateLimiter::new(key, LOOKUP_RATE),
            secrets: SourceRateLimiter::new(key, SECRET_RATE),
        }
    }

    /// Counts one more name of this source. Returns `false` if the hourly rate of the source or of
    /// all sources is exceeded.
    ///
    /// `for_new`: only networks without a registration today get a name.
    pub(super) fn admit(&mut self, now: Tick, ip: IpAddr, for_new: bool) -> bool {
        if !self.new.as_mut().map_or(ip.is_loopback(), |new| new.admit(now, ip)) {
            return false;
        }
        let is_admitted = self.all.as_mut().is_none_or(|all| all.admit(now, ip, for_new));
        if !is_admitted && let Some(new) = &mut self.new {
            new.refund(ip);
        }
        is_admitted
    }

    /// Counts one more secret. Returns `false` if this source has tried too many.
    pub(super) fn admit_secret(&mut self, now: Tick, ip: IpAddr) -> bool {
        self.secrets.admit(now, ip)
    }

    /// Takes back the count of a name that could not be persisted, or of the secret used for it.
    pub(super) fn refund(&mut self, now: Tick, ip: IpAddr, with_secret: bool) {
        if with_secret {
            return self.secrets.refund(ip);
        }
        self.new.iter_mut().for_each(|new| new.refund(ip));
        self.all.iter_mut().for_each(|all| all.refund(now, ip));
    }

    /// Counts one more claim to another member's name. Returns `false` if this source has received
    /// too many such refusals.
    pub(super) fn admit_refusal(&mut self, now: Tick, ip: IpAddr) -> bool {
        self.refused.admit(now, ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_registers_few_names_per_hour() {
        let limits = Limits { all_names_per_hour: None, ..Limits::default() };
        let mut registration_limits = RegistrationLimits::new([1; 32], &limits);
        let start = Tick::from_micros(1);
        let ip = IpAddr::from([192, 0, 2, 1]);
        let mut admits = |now, ip| registration_limits.admit(now, ip, false);
        assert!((0..5).all(|_| admits(start, ip)));
        assert!(!admits(start, ip));
        assert!(admits(start, IpAddr::from([192, 0, 2, 2])));
        assert!(admits(start + HOUR / 5, ip) && !admits(start + HOUR / 5, ip));
        assert!((0..50).all(|_| admits(start, IpAddr::from([127, 0, 0, 1]))));
        let none = Limits { names_per_hour: 0, ..limits };
        assert!(!RegistrationLimits::new([1; 32], &none).admit(start, ip, false));
    }
}
