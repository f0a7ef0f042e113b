//! Packed state: numbers and bytes one after the other, for many instances that are rarely used.
//!
//! Only the process that packed it reads it again. There is no version, and the reader must read
//! exactly what was written.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use super::{ConnId, Path, Tick};

/// Flag in a byte of a number: more bytes follow (LEB128: seven bits per byte, the lowest first).
const MORE: u8 = 0x80;

const UDP_V4: u8 = 0;
const UDP_V6: u8 = 1;
const TCP: u8 = 2;
const UDP_PAIR_V4: u8 = 3;
const UDP_PAIR_V6: u8 = 4;

/// Appends a number; numbers below 128 take one byte.
pub fn pack_number(into: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        into.push(number as u8 | MORE);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Appends a time.
pub fn pack_tick(into: &mut Vec<u8>, tick: Tick) {
    pack_number(into, tick.as_micros());
}

/// Appends an optional time.
pub fn pack_maybe_tick(into: &mut Vec<u8>, tick: Option<Tick>) {
    pack_number(into, tick.map_or(0, |tick| tick.as_micros() + 1));
}

/// Appends a path.
pub fn pack_path(into: &mut Vec<u8>, path: Path) {
    match path {
        Path::Udp(SocketAddr::V4(addr)) => {
            into.push(UDP_V4);
            into.extend_from_slice(&addr.ip().octets());
            into.extend_from_slice(&addr.port().to_be_bytes());
        }
        Path::Udp(SocketAddr::V6(addr)) => {
            into.push(UDP_V6);
            into.extend_from_slice(&addr.ip().octets());
            into.extend_from_slice(&addr.port().to_be_bytes());
            pack_number(into, addr.flowinfo().into());
            pack_number(into, addr.scope_id().into());
        }
        Path::UdpAt(pair) => {
            match (pair.peer().ip(), pair.local()) {
                (IpAddr::V4(peer), IpAddr::V4(local)) => {
                    into.push(UDP_PAIR_V4);
                    into.extend_from_slice(&peer.octets());
                    into.extend_from_slice(&local.octets());
                }
                _ => {
                    let (peer, local) = pair.as_ipv6();
                    into.push(UDP_PAIR_V6);
                    into.extend_from_slice(&peer);
                    into.extend_from_slice(&local);
                }
            }
            into.extend_from_slice(&pair.peer().port().to_be_bytes());
        }
        Path::Tcp(conn) => {
            into.push(TCP);
            pack_number(into, conn.0);
        }
    }
}

/// Keep-alives that were answered while their session stayed hibernated.
///
/// Each was the next packet of the other end, and its answer the next packet of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepAliveCount {
    /// Number of keep-alives.
    pub count: u32,
    /// When the last one arrived; meaningless if `count` is 0.
    pub last: Tick,
}

impl KeepAliveCount {
    /// Returns when the last one arrived, if any did.
    pub fn last(self) -> Option<Tick> {
        (self.count > 0).then_some(self.last)
    }
}

/// Reads packed values, in the order of writing.
///
/// # Panics
/// The methods panic if the bytes hold another value or end too early. That is a bug, because no
/// byte comes from outside.
#[derive(Debug)]
pub struct Unpacker<'a>(&'a [u8]);

impl<'a> Unpacker<'a> {
    /// Starts at the beginning of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Unpacker<'a> {
        Unpacker(bytes)
    }

    /// Whether all bytes have been read.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads `N` raw bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self.0.split_first_chunk().expect("reads match writes");
        self.0 = rest;
        *bytes
    }

    /// Reads a number.
    pub fn number(&mut self) -> u64 {
        let mut number = 0;
        let mut shift = 0;
        loop {
            let [byte] = self.bytes();
            number |= u64::from(byte & !MORE) << shift;
            if byte & MORE == 0 {
                return number;
            }
            shift += 7;
        }
    }

    /// Reads a number that was written as `usize`.
    pub fn size(&mut self) -> usize {
        usize::try_from(self.number()).expect("reads match writes")
    }

    /// Reads a time.
    pub fn tick(&mut self) -> Tick {
        Tick::from_micros(self.number())
    }

    /// Reads an optional time.
    pub fn maybe_tick(&mut self) -> Option<Tick> {
        self.number().checked_sub(1).map(Tick::from_micros)
    }

    /// Reads a path.
    pub fn path(&mut self) -> Path {
        match self.bytes() {
            [UDP_V4] => {
                let ip = IpAddr::from(self.bytes::<4>());
                let port = u16::from_be_bytes(self.bytes());
                Path::Udp(SocketAddr::new(ip, port))
            }
            [UDP_V6] => {
                let ip = self.bytes::<16>().into();
                let port = u16::from_be_bytes(self.bytes());
                let flowinfo = self.number() as u32;
                let scope_id = self.number() as u32;
                Path::Udp(SocketAddrV6::new(ip, port, flowinfo, scope_id).into())
            }
            [UDP_PAIR_V4] => {
                let peer = IpAddr::from(self.bytes::<4>());
                let local = IpAddr::from(self.bytes::<4>());
                let port = u16::from_be_bytes(self.bytes());
                Path::udp(SocketAddr::new(peer, port), Some(local))
            }
            [UDP_PAIR_V6] => {
                let peer = IpAddr::from(self.bytes::<16>()).to_canonical();
                let local = IpAddr::from(self.bytes::<16>()).to_canonical();
                let port = u16::from_be_bytes(self.bytes());
                Path::udp(SocketAddr::new(peer, port), Some(local))
            }
            _ => Path::Tcp(ConnId(self.number())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packed_numbers_round_trip(numbers in proptest::collection::vec(any::<u64>(), 0..20), small in 0..200_u64) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| pack_number(&mut bytes, *number));
            let before = bytes.len();
            pack_number(&mut bytes, small);
            prop_assert_eq!(bytes.len() - before, if small < 128 { 1 } else { 2 });
            let mut reader = Unpacker::new(&bytes);
            prop_assert!(numbers.iter().all(|number| reader.number() == *number));
            prop_assert_eq!(reader.size() as u64, small);
            prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn packed_times_and_paths_round_trip() {
        let v6 = SocketAddrV6::new("fe80::1".parse().unwrap(), 8081, 7, u32::MAX);
        let pair = |peer: &str, local: &str| Path::udp(peer.parse().unwrap(), Some(local.parse().unwrap()));
        let paths = [
            Path::Udp(([192, 0, 2, 1], 65_535).into()),
            Path::Udp(v6.into()),
            pair("192.0.2.1:7", "127.0.0.5"),
            pair("[2001:db8::1]:7", "2001:db8::5"),
            Path::Tcp(ConnId(300)),
        ];
        let ticks = [None, Some(Tick::ZERO), Some(Tick::from_micros(u64::MAX - 1))];
        let mut bytes = Vec::new();
        paths.iter().for_each(|path| pack_path(&mut bytes, *path));
        ticks.iter().for_each(|tick| pack_maybe_tick(&mut bytes, *tick));
        pack_tick(&mut bytes, Tick::from_micros(5));
        let mut reader = Unpacker::new(&bytes);
        assert_eq!(paths.map(|_| reader.path()), paths);
        assert_eq!(ticks.map(|_| reader.maybe_tick()), ticks);
        assert_eq!(reader.tick(), Tick::from_micros(5));
        assert!(reader.is_empty());
    }
}
