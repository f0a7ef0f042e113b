//! Addresses at which members reach a relay, and the line that they paste into their address books.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::base::{Fingerprint, HostPort, Name, Phrase};
use crate::contacts::{Contact, entry};
use crate::net;
use crate::store::{RelayAddress, RelayAddresses};
use crate::ui::terminal::write_err;
use crate::ui::{Strings, store_error};

/// Maximum addresses shown: a machine with containers has dozens that lead nowhere.
const SHOWN_MAX: usize = 8;

/// Lines that a relay prints once it is ready, and the addresses it saves for `members invite`.
#[derive(Clone)]
pub(super) struct Announcement {
    /// Bound addresses: at least one of UDP. Several belong to one host name.
    pub(super) udp: Vec<SocketAddr>,
    pub(super) tcp: Vec<SocketAddr>,
    pub(super) key: Fingerprint,
    /// Address given by the operator.
    pub(super) address: Option<HostPort>,
    /// Member that guests write to.
    pub(super) guests: Option<Name>,
    /// The relay's data folder.
    pub(super) dir: PathBuf,
    pub(super) strings: Arc<Strings>,
    /// Held while the file is written: several threads may find that it must be.
    pub(super) writing: Arc<Mutex<()>>,
}

impl Announcement {
    /// Returns the ready line for scripts.
    pub(super) fn ready_line(&self) -> String {
        let tcp = self.tcp.first().map_or("-".to_owned(), SocketAddr::to_string);
        let guests = self.guests.as_ref().map_or(String::new(), |name| format!(" guests={name}"));
        let others: Vec<String> = self.udp.iter().skip(1).map(SocketAddr::to_string).collect();
        let also = if others.is_empty() { String::new() } else { format!(" also={}", others.join(",")) };
        format!("ready udp={} tcp={tcp} key={}{guests}{also}", self.udp[0], self.key)
    }

    /// Prints for each address of the machine a line for members' address books.
    pub(super) fn print_contacts(&self, key: &'static str, reach: &RelayAddresses) {
        let mut lines = self.strings.say(&Phrase::new(key).with("count", reach.at.len()));
        let who = self.strings.say(&Phrase::new("relay-contacts-name"));
        for place in &reach.at {
            lines += &format!("\n{}", contacts_line(&who, place, reach));
        }
        self.tell(&lines);
    }

    /// Reads the addresses of the machine again, saves them, and reports it. Uses its own thread,
    /// because it writes a file.
    pub(super) fn renew(&self) {
        let again = self.clone();
        let renew = move || {
            let reach = again.save();
            again.print_contacts("relay-reloaded", &reach);
        };
        if let Err(error) = thread::Builder::new().name("reload".to_owned()).spawn(renew) {
            self.tell(&self.strings.say(&Phrase::new("store-no-thread").with("cause", error)));
        }
    }

    /// Whether the file of the addresses is there.
    pub(super) fn is_saved(&self) -> bool {
        RelayAddresses::is_saved(&self.dir)
    }

    /// Saves the addresses, and reports it if that fails.
    pub(super) fn save(&self) -> RelayAddresses {
        let _writing = self.writing.lock().expect("nothing panics while it holds this lock");
        let at = match &self.address {
            Some(address) => {
                vec![named(address, self.tcp.first().map(SocketAddr::port), self.udp[0].port())]
            }
            None => {
                let tcp_at = |udp: &SocketAddr| self.tcp.iter().find(|tcp| tcp.ip() == udp.ip());
                let tcp_of = |udp: &SocketAddr| tcp_at(udp).or(self.tcp.first()).copied();
                let own = net::own_addresses();
                self.udp.iter().flat_map(|udp| relay_addresses(*udp, tcp_of(udp), &own)).collect()
            }
        };
        let reach = RelayAddresses { key: self.key, at };
        if let Err(error) = reach.save(&self.dir) {
            self.tell(&self.strings.say(&store_error(&error)));
        }
        reach
    }

    fn tell(&self, lines: &str) {
        // A closed stderr is not an error.
        let _ = write_err(&format!("{lines}\n"));
    }
}

/// Returns the addresses of a relay that is bound to `udp` and `tcp`, on a machine with the
/// addresses `own`. At least one, and at most [`SHOWN_MAX`].
fn relay_addresses(udp: SocketAddr, tcp: Option<SocketAddr>, own: &[IpAddr]) -> Vec<RelayAddress> {
    let is_served = |ip: &&IpAddr| udp.is_ipv6() || ip.is_ipv4();
    let mut hosts: Vec<IpAddr> = match udp.ip().is_unspecified() {
        true => own.iter().filter(is_served).take(SHOWN_MAX).copied().collect(),
        false => vec![udp.ip()],
    };
    if hosts.is_empty() {
        hosts.push(Ipv4Addr::LOCALHOST.into());
    }
    let place = |host: IpAddr| RelayAddress {
        address: SocketAddr::new(host, udp.port()).into(),
        tcp: tcp.and_then(|tcp| tcp_of(host, tcp)).map(HostPort::from),
    };
    hosts.into_iter().map(place).collect()
}

/// Returns the TCP address for members that reach the relay at `host`; `None` if TCP is not
/// reachable there.
fn tcp_of(host: IpAddr, tcp: SocketAddr) -> Option<SocketAddr> {
    match tcp.ip().is_unspecified() {
        true => (tcp.is_ipv6() || host.is_ipv4()).then(|| SocketAddr::new(host, tcp.port())),
        false => (host.is_loopback() || !tcp.ip().is_loopback()).then_some(tcp),
    }
}

/// Returns the relay's address if the operator has given one. The external TCP port equals the
/// external UDP port if the local ports are equal; otherwise it is the local TCP port.
pub(super) fn named(address: &HostPort, tcp_port: Option<u16>, udp_port: u16) -> RelayAddress {
    let port = tcp_port.map(|port| if port == udp_port { address.port() } else { port });
    RelayAddress { address: address.clone(), tcp: port.and_then(|port| address.with_port(port)) }
}

/// Returns the line for a member's address book, with `who` in place of a name.
fn contacts_line(who: &str, place: &RelayAddress, reach: &RelayAddresses) -> String {
    let stand_in: Name = "NAME".parse().expect("NAME is a valid name");
    let contact = Contact {
        tcp: place.tcp.clone().filter(|tcp| *tcp != place.address),
        relay_key: Some(reach.key),
        ..Contact::new(stand_in, place.address.clone())
    };
    entry(&contact).replacen("NAME", who, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::AddressBook;

    fn shown(udp: &str, tcp: &str, own: &[&str]) -> Vec<String> {
        let own: Vec<IpAddr> = own.iter().map(|ip| ip.parse().unwrap()).collect();
        let places = relay_addresses(udp.parse().unwrap(), tcp.parse().ok(), &own);
        let tcp = |place: &RelayAddress| place.tcp.as_ref().map_or("-".to_owned(), HostPort::to_string);
        places.iter().map(|place| format!("{} {}", place.address, tcp(place))).collect()
    }

    #[test]
    fn members_are_shown_reachable_addresses() {
        let own = &["192.0.2.1", "2001:db8::1"];
        let table: [(&str, &str, &[&str]); 10] = [
            ("127.0.0.1:1", "-", &["127.0.0.1:1 -"]),
            ("127.0.0.1:1", "127.0.0.1:2", &["127.0.0.1:1 127.0.0.1:2"]),
            ("0.0.0.0:1", "-", &["192.0.2.1:1 -"]),
            ("0.0.0.0:1", "0.0.0.0:1", &["192.0.2.1:1 192.0.2.1:1"]),
            ("[::]:1", "[::]:2", &["192.0.2.1:1 192.0.2.1:2", "[2001:db8::1]:1 [2001:db8::1]:2"]),
            ("[::]:1", "0.0.0.0:2", &["192.0.2.1:1 192.0.2.1:2", "[2001:db8::1]:1 -"]),
            ("0.0.0.0:1", "192.0.2.9:2", &["192.0.2.1:1 192.0.2.9:2"]),
            ("0.0.0.0:1", "127.0.0.1:2", &["192.0.2.1:1 -"]),
            ("192.0.2.1:1", "0.0.0.0:2", &["192.0.2.1:1 192.0.2.1:2"]),
            ("127.0.0.1:1", "[::]:2", &["127.0.0.1:1 127.0.0.1:2"]),
        ];
        for (udp, tcp, wanted) in table {
            assert_eq!(shown(udp, tcp, own), wanted, "{udp} {tcp}");
        }
        for udp in ["0.0.0.0:1", "[::]:1"] {
            assert_eq!(shown(udp, "-", &[]), ["127.0.0.1:1 -"], "no other address");
        }
        assert_eq!(shown("0.0.0.0:1", "-", &["192.0.2.1"; 30]).len(), SHOWN_MAX);
    }

    #[test]
    fn operator_sets_external_address() {
        let shown =
            |tcp| named(&"chat.example.org:443".parse().unwrap(), tcp, 8081).tcp.map(|tcp| tcp.to_string());
        assert_eq!(shown(Some(8081)).as_deref(), Some("chat.example.org:443"));
        assert_eq!(shown(Some(9000)).as_deref(), Some("chat.example.org:9000"));
        assert_eq!(shown(None), None);
    }

    #[test]
    fn contacts_line_parses_as_book_entry() {
        let key = "aaaaa-bbbbb-ccccc-ddddd".parse().unwrap();
        let at = relay_addresses("[::1]:1".parse().unwrap(), "[::1]:2".parse().ok(), &[]);
        let reach = RelayAddresses { key, at };
        let line = contacts_line("NAME", &reach.at[0], &reach);
        assert_eq!(
            line,
            r#"NAME = { relay = "[::1]:1", tcp = "[::1]:2", relay_key = "aaaaa-bbbbb-ccccc-ddddd" }"#
        );
        let book = AddressBook::parse(&format!("[contacts]\n{line}"), "f").unwrap();
        assert_eq!(book.relays()[0].key, Some(key));
        assert_eq!(book.relays()[0].tcp, "[::1]:2".parse().ok());
    }
}
