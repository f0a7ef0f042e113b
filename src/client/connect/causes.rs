//! Why nothing answered in a round, as far as this machine knows.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::base::{Carrier, PathError};
use crate::client::api::Carriers;
use crate::client::connect_failure::ConnectFailure;

/// The last error of the system for each address of a relay, in one round.
#[derive(Debug, Default)]
pub(super) struct RoundCauses {
    udp: BTreeMap<SocketAddr, PathError>,
    tcp: BTreeMap<SocketAddr, PathError>,
    /// No name server answered for the relay's host.
    is_unresolved: bool,
}

impl RoundCauses {
    pub(super) fn record(&mut self, carrier: Carrier, addr: SocketAddr, error: PathError) {
        let causes = match carrier {
            Carrier::Udp => &mut self.udp,
            Carrier::Tcp => &mut self.tcp,
        };
        causes.insert(addr, error);
    }

    pub(super) const fn record_unresolved(&mut self) {
        self.is_unresolved = true;
    }

    /// Returns the failure of a host without addresses.
    pub(super) const fn of_host(&self) -> ConnectFailure {
        if self.is_unresolved { ConnectFailure::NoNameServer } else { ConnectFailure::NoSuchHost }
    }

    /// Returns the failure of a round in which nothing answered. A cause counts if it holds for
    /// every address: one that stays silent may be the relay's.
    pub(super) fn of_round(
        &self,
        carriers: Carriers,
        udp: &[SocketAddr],
        tcp: &[SocketAddr],
    ) -> ConnectFailure {
        let udp = of_carrier(&self.udp, udp);
        let tcp = of_carrier(&self.tcp, tcp);
        let common = match (carriers, udp, tcp) {
            (Carriers::Udp, cause, _) | (Carriers::Tcp, _, cause) => cause,
            // A relay without TCP refuses it, or stays silent.
            (Carriers::Auto, Some(ConnectFailure::TooBig), None) => udp,
            (Carriers::Auto, Some(ConnectFailure::NoRoom), _) => udp,
            (Carriers::Auto, _, Some(ConnectFailure::NoRoom)) => tcp,
            (Carriers::Auto, ..) => udp.and(tcp),
        };
        common.unwrap_or(ConnectFailure::Silent)
    }
}

/// Returns the cause of a carrier, if each of its addresses has one on this machine.
fn of_carrier(causes: &BTreeMap<SocketAddr, PathError>, all: &[SocketAddr]) -> Option<ConnectFailure> {
    let mut each = all.iter().map(|addr| causes.get(addr).copied().and_then(of_machine));
    let first = each.next()??;
    each.all(|cause| cause.is_some()).then_some(first)
}

/// Returns the failure that an error of this machine causes; `None` for an error of the other
/// end.
const fn of_machine(error: PathError) -> Option<ConnectFailure> {
    match error {
        PathError::Unreachable => Some(ConnectFailure::NoRoute),
        PathError::NotPermitted => Some(ConnectFailure::NotPermitted),
        PathError::TooBig => Some(ConnectFailure::TooBig),
        PathError::NoRoom => Some(ConnectFailure::NoRoom),
        PathError::Refused
        | PathError::Closed
        | PathError::Reset
        | PathError::Framing
        | PathError::TimedOut
        | PathError::Stuck => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn failure(carriers: Carriers, udp: &[PathError], tcp: &[PathError]) -> ConnectFailure {
        let mut causes = RoundCauses::default();
        let all = [addr(1), addr(2)];
        for (carrier, whys) in [(Carrier::Udp, udp), (Carrier::Tcp, tcp)] {
            all.iter().zip(whys).for_each(|(addr, error)| causes.record(carrier, *addr, *error));
        }
        causes.of_round(carriers, &all, &all)
    }

    #[test]
    fn cause_of_every_address_is_reported() {
        use PathError::{NoRoom, NotPermitted, Refused, TooBig, Unreachable};
        let unreachable = &[Unreachable; 2];
        let table: [(&[PathError], &[PathError], ConnectFailure); 10] = [
            (&[], &[], ConnectFailure::Silent),
            (unreachable, unreachable, ConnectFailure::NoRoute),
            (unreachable, &[], ConnectFailure::Silent),
            (&[Unreachable], &[Unreachable], ConnectFailure::Silent),
            (unreachable, &[Refused; 2], ConnectFailure::Silent),
            (&[NotPermitted; 2], &[NotPermitted; 2], ConnectFailure::NotPermitted),
            (&[TooBig; 2], &[], ConnectFailure::TooBig),
            (&[TooBig; 2], &[Refused; 2], ConnectFailure::TooBig),
            (&[TooBig; 2], unreachable, ConnectFailure::NoRoute),
            (&[NoRoom; 2], &[], ConnectFailure::NoRoom),
        ];
        for (udp, tcp, wanted) in table {
            assert_eq!(failure(Carriers::Auto, udp, tcp), wanted, "{udp:?} {tcp:?}");
        }
        assert_eq!(failure(Carriers::Udp, &[TooBig; 2], &[]), ConnectFailure::TooBig);
        assert_eq!(failure(Carriers::Tcp, &[TooBig; 2], unreachable), ConnectFailure::NoRoute);
    }

    #[test]
    fn silent_name_server_is_not_unknown_host() {
        let mut causes = RoundCauses::default();
        assert_eq!(causes.of_host(), ConnectFailure::NoSuchHost);
        causes.record_unresolved();
        assert_eq!(causes.of_host(), ConnectFailure::NoNameServer);
    }
}
