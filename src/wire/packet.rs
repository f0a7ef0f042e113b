//! Packets: the outermost layout, which both ends read before any key is known.
//!
//! Every packet begins with four bytes. The second is the type, which fixes the layout of the rest.
//! A packet is dropped without an answer if it has another version, an unknown or reserved type, or
//! a reserved byte that is not 0.
//!
//! ```text
//! every packet    magic(1)=0xFF  type(1)  version(1)=1  reserved(1)=0  …
//!
//! 1 INIT          header(4)  sender(4)  noise(n)  mac1(16)  mac2(16)
//! 2 RESPONSE      header(4)  sender(4)  receiver(4)  noise(n)  mac1(16)  mac2(16)
//! 3 COOKIE        header(4)  receiver(4)  nonce(24)  sealed cookie(16)  tag(16)
//! 4 KEY_QUERY     header(4)  nonce(16)  padding(n)=0
//! 5 KEY_ANSWER    header(4)  nonce(16)  key(32)
//! 6 DATA          header(4)  receiver(4)  number(8)  sealed(n)  tag(16)
//! 7 RESET         header(4)  index(4)  token(16)
//! ```
//!
//! - *sender*, *receiver*: indexes chosen at random by the end that receives packets under them; 0
//!   means none.
//! - *noise*: one Noise message. Its sealed payload holds the padding ([`crate::session`] has its
//!   layout). Thus no byte of a handshake packet except mac2 can be changed undetected.
//! - *mac1* covers everything before it. *mac2* of an INIT covers everything before it, mac1
//!   included, under the cookie of the last COOKIE. Without a cookie, and in a RESPONSE, it is 16
//!   zero bytes.
//! - *cookie*: the value that an address must prove in mac2 while the relay is under load
//!   ([`crate::session`]).
//! - *number*: the packet number, at most [`NUMBER_MAX`]. The 16 bytes before *sealed* are its
//!   associated data.
//! - *index*: that of a DATA packet whose receiver does not know it.
//! - *token*: a value that only this receiver can compute from *index* ([`crate::session`]). The
//!   owner of the session has known it since its handshake (RFC 9000 §10.3).
//!
//! | type | on UDP | on TCP |
//! | --- | --- | --- |
//! | INIT, RESPONSE | exactly 1,200 bytes | header and macs to 1,200 bytes |
//! | COOKIE | 64 bytes | 64 bytes; a relay sends none |
//! | KEY_QUERY | exactly 1,200 bytes | 20 to 1,200 bytes |
//! | KEY_ANSWER | 52 bytes | 52 bytes |
//! | DATA | 32 to 1,200 bytes | 32 to 16,384 bytes |
//! | RESET | 24 bytes | 24 bytes |
//!
//! A RESET is shorter than any DATA packet.
//!
//! The padding of requests on UDP makes every answer at most as large as its request. A forged
//! source address therefore gains no amplification.

use crate::base::Carrier;

use super::limits::{DATA_HEADER_LEN, MAGIC, TAG_LEN, TCP_PACKET_MAX, UDP_PACKET_MAX, VERSION};

/// Bytes that every packet begins with.
pub const HEADER_LEN: usize = 4;
/// Bytes before the Noise message of an INIT.
pub const INIT_HEADER_LEN: usize = HEADER_LEN + 4;
/// Bytes before the Noise message of a RESPONSE.
pub const RESPONSE_HEADER_LEN: usize = HEADER_LEN + 8;
/// Bytes of mac1, and of mac2 (as in WireGuard).
pub const MAC_LEN: usize = 16;
/// Bytes of an INIT, RESPONSE or KEY_QUERY on UDP, and their maximum on TCP.
pub const HANDSHAKE_LEN: usize = UDP_PACKET_MAX;
/// Bytes of the nonce that ties a KEY_ANSWER to its KEY_QUERY.
pub const QUERY_NONCE_LEN: usize = 16;
/// Bytes of a KEY_QUERY without its padding.
pub const KEY_QUERY_LEN_MIN: usize = HEADER_LEN + QUERY_NONCE_LEN;
/// Bytes of a KEY_ANSWER.
pub const KEY_ANSWER_LEN: usize = HEADER_LEN + QUERY_NONCE_LEN + 32;
/// Bytes of a COOKIE's nonce (XChaCha20-Poly1305).
pub const COOKIE_NONCE_LEN: usize = 24;
/// Bytes of a sealed cookie: the cookie, which is as long as a mac, and its tag.
pub const COOKIE_SEALED_LEN: usize = MAC_LEN + TAG_LEN;
/// Bytes of a COOKIE: as in WireGuard, and far less than the INIT that it answers.
pub const COOKIE_LEN: usize = HEADER_LEN + 4 + COOKIE_NONCE_LEN + COOKIE_SEALED_LEN;
const _: () = assert!(COOKIE_LEN == 64);
/// Bytes of a data packet with empty content.
pub const DATA_LEN_MIN: usize = DATA_HEADER_LEN + TAG_LEN;
/// Bytes of the token that only a relay can compute from an index (RFC 9000 §10.3).
pub const RESET_TOKEN_LEN: usize = 16;
/// Bytes of a RESET.
///
/// Shorter than the shortest data packet, so that two ends cannot reset each other in a loop.
pub const RESET_LEN: usize = HEADER_LEN + 4 + RESET_TOKEN_LEN;
const _: () = assert!(RESET_LEN < DATA_LEN_MIN);
/// Maximum packet number: the largest value that a varint, and so an ack, can hold (RFC 9000
/// §12.3).
pub const NUMBER_MAX: u64 = (1 << 62) - 1;

/// The type byte of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketType {
    /// The first handshake message.
    Init = 1,
    /// The second handshake message.
    Response = 2,
    /// A cookie for a client while the relay is under load.
    Cookie = 3,
    /// A query for the relay's public key.
    KeyQuery = 4,
    /// The relay's public key.
    KeyAnswer = 5,
    /// Sealed frames.
    Data = 6,
    /// The relay does not know a session.
    Reset = 7,
}

/// Why bytes are not a packet of this version. Such packets are dropped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// The first byte differs or is missing.
    Magic,
    /// An unsupported version.
    Version,
    /// A type that is unknown or reserved for a later version.
    Type,
    /// A reserved byte that is not 0.
    Reserved,
    /// Too short or too long for its type on this carrier.
    Length,
    /// A packet number above [`NUMBER_MAX`].
    Number,
}

/// The common parts of an INIT and a RESPONSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake<'a> {
    /// The index under which its sender will receive data packets.
    pub sender: u32,
    /// The Noise message.
    pub noise: &'a [u8],
    /// All bytes that mac1 covers.
    pub covered: &'a [u8],
    /// The mac of [`Handshake::covered`] under a key derived from the receiver's public key.
    pub mac1: &'a [u8; MAC_LEN],
    /// All bytes that mac2 covers: the same and mac1.
    pub covered_by_mac2: &'a [u8],
    /// The mac of [`Handshake::covered_by_mac2`] under a cookie, or zeros.
    pub mac2: &'a [u8; MAC_LEN],
}

/// A packet, as far as it can be read without keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The first handshake message.
    Init(Handshake<'a>),
    /// The second handshake message.
    Response {
        /// The index from the INIT it answers.
        receiver: u32,
        /// Its other parts.
        handshake: Handshake<'a>,
    },
    /// The relay is under load: the client must repeat the INIT with mac2.
    Cookie {
        /// The index from the INIT it answers.
        receiver: u32,
        /// The nonce of the seal.
        nonce: &'a [u8; COOKIE_NONCE_LEN],
        /// The cookie and its tag; the mac1 of the INIT is its associated data.
        sealed: &'a [u8; COOKIE_SEALED_LEN],
    },
    /// A query for the relay's public key.
    KeyQuery {
        /// Returned in the answer.
        nonce: &'a [u8; QUERY_NONCE_LEN],
    },
    /// The relay's public key, unauthenticated.
    KeyAnswer {
        /// The nonce of the query.
        nonce: &'a [u8; QUERY_NONCE_LEN],
        /// The key.
        key: &'a [u8; 32],
    },
    /// Sealed frames. No part is authentic before the tag has been verified.
    Data {
        /// The index that its receiver has chosen.
        receiver: u32,
        /// The packet number.
        number: u64,
    },
    /// The other end does not know a session. Valid only with the right token.
    Reset {
        /// The index of the session at the other end.
        index: u32,
        /// The proof.
        token: &'a [u8; RESET_TOKEN_LEN],
    },
}

/// Parses a packet that arrived on `carrier`.
///
/// # Errors
/// [`PacketError`] if it is not a packet of this version; the caller drops it without an answer.
pub fn parse(carrier: Carrier, bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    let Some((&MAGIC, rest)) = bytes.split_first() else { return Err(PacketError::Magic) };
    let [kind, version, reserved, ..] = *rest else { return Err(PacketError::Length) };
    if version != VERSION {
        return Err(PacketError::Version);
    }
    let parse_body = match kind {
        k if k == PacketType::Init as u8 => parse_init,
        k if k == PacketType::Response as u8 => parse_response,
        k if k == PacketType::Cookie as u8 => parse_cookie,
        k if k == PacketType::KeyQuery as u8 => parse_key_query,
        k if k == PacketType::KeyAnswer as u8 => parse_key_answer,
        k if k == PacketType::Data as u8 => parse_data,
        k if k == PacketType::Reset as u8 => parse_reset,
        _ => return Err(PacketError::Type),
    };
    if reserved != 0 {
        return Err(PacketError::Reserved);
    }
    parse_body(carrier, bytes)
}

fn parse_init(carrier: Carrier, bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    parse_handshake(carrier, bytes, INIT_HEADER_LEN).map(Packet::Init)
}

fn parse_response(carrier: Carrier, bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    let handshake = parse_handshake(carrier, bytes, RESPONSE_HEADER_LEN)?;
    let receiver = u32::from_be_bytes(*array_at(bytes, INIT_HEADER_LEN)?);
    Ok(Packet::Response { receiver, handshake })
}

fn parse_handshake(carrier: Carrier, bytes: &[u8], header_len: usize) -> Result<Handshake<'_>, PacketError> {
    check_padded(carrier, bytes.len(), header_len + 2 * MAC_LEN)?;
    let mac1_start = bytes.len() - 2 * MAC_LEN;
    Ok(Handshake {
        sender: u32::from_be_bytes(*array_at(bytes, HEADER_LEN)?),
        noise: &bytes[header_len..mac1_start],
        covered: &bytes[..mac1_start],
        mac1: array_at(bytes, mac1_start)?,
        covered_by_mac2: &bytes[..mac1_start + MAC_LEN],
        mac2: array_at(bytes, mac1_start + MAC_LEN)?,
    })
}

fn parse_cookie(_: Carrier, bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    if bytes.len() != COOKIE_LEN {
        return Err(PacketError::Length);
    }
    Ok(Packet::Cookie {
        receiver: u32::from_be_bytes(*array_at(bytes, HEADER_LEN)?),
        nonce: array_at(bytes, HEADER_LEN + 4)?,
        sealed: array_at(bytes, HEADER_LEN + 4 + COOKIE_NONCE_LEN)?,
    })
}

fn parse_key_query(carrier: Carrier, bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    check_padded(carrier, bytes.len(), KEY_QUERY_LEN_MIN)?;
    Ok(Packet::KeyQuery { nonce: array_at(bytes, HEADER_LEN)? })
}

fn parse_key_answer(_: Carrier, bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    if bytes.len() != KEY_ANSWER_LEN {
        return Err(PacketError::Length);
    }
    let nonce = array_at(bytes, HEADER_LEN)?;
    Ok(Packet::KeyAnswer { nonce, key: array_at(bytes, HEADER_LEN + QUERY_NONCE_LEN)? })
}

fn parse_data(carrier: Carrier, bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    let len_max = match carrier {
        Carrier::Udp => UDP_PACKET_MAX,
        Carrier::Tcp => TCP_PACKET_MAX,
    };
    if !(DATA_LEN_MIN..=len_max).contains(&bytes.len()) {
        return Err(PacketError::Length);
    }
    let number = u64::from_be_bytes(*array_at(bytes, HEADER_LEN + 4)?);
    if number > NUMBER_MAX {
        return Err(PacketError::Number);
    }
    Ok(Packet::Data { receiver: u32::from_be_bytes(*array_at(bytes, HEADER_LEN)?), number })
}

fn parse_reset(_: Carrier, bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    if bytes.len() != RESET_LEN {
        return Err(PacketError::Length);
    }
    let index = u32::from_be_bytes(*array_at(bytes, HEADER_LEN)?);
    Ok(Packet::Reset { index, token: array_at(bytes, HEADER_LEN + 4)? })
}

fn check_padded(carrier: Carrier, len: usize, len_min: usize) -> Result<(), PacketError> {
    let fits = match carrier {
        Carrier::Udp => len == HANDSHAKE_LEN,
        Carrier::Tcp => (len_min..=HANDSHAKE_LEN).contains(&len),
    };
    if fits { Ok(()) } else { Err(PacketError::Length) }
}

fn array_at<const N: usize>(bytes: &[u8], start: usize) -> Result<&[u8; N], PacketError> {
    bytes.get(start..).and_then(<[u8]>::first_chunk).ok_or(PacketError::Length)
}

/// Appends the header of an INIT. The Noise message and the macs must follow.
pub fn write_init_header(out: &mut Vec<u8>, sender: u32) {
    write_header(out, PacketType::Init);
    out.extend_from_slice(&sender.to_be_bytes());
}

/// Appends the header of a RESPONSE. The Noise message and the macs must follow.
pub fn write_response_header(out: &mut Vec<u8>, sender: u32, receiver: u32) {
    write_header(out, PacketType::Response);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&receiver.to_be_bytes());
}

/// Appends a COOKIE.
pub fn write_cookie(
    out: &mut Vec<u8>,
    receiver: u32,
    nonce: &[u8; COOKIE_NONCE_LEN],
    sealed: &[u8; COOKIE_SEALED_LEN],
) {
    write_header(out, PacketType::Cookie);
    out.extend_from_slice(&receiver.to_be_bytes());
    out.extend_from_slice(nonce);
    out.extend_from_slice(sealed);
}

/// Appends a KEY_QUERY, padded as `carrier` requires.
pub fn write_key_query(out: &mut Vec<u8>, carrier: Carrier, nonce: &[u8; QUERY_NONCE_LEN]) {
    let start = out.len();
    write_header(out, PacketType::KeyQuery);
    out.extend_from_slice(nonce);
    if carrier == Carrier::Udp {
        out.resize(start + HANDSHAKE_LEN, 0);
    }
}

/// Appends a KEY_ANSWER.
pub fn write_key_answer(out: &mut Vec<u8>, nonce: &[u8; QUERY_NONCE_LEN], key: &[u8; 32]) {
    write_header(out, PacketType::KeyAnswer);
    out.extend_from_slice(nonce);
    out.extend_from_slice(key);
}

/// Appends a RESET.
pub fn write_reset(out: &mut Vec<u8>, index: u32, token: &[u8; RESET_TOKEN_LEN]) {
    write_header(out, PacketType::Reset);
    out.extend_from_slice(&index.to_be_bytes());
    out.extend_from_slice(token);
}

/// Returns the header of a data packet, which is its associated data.
pub fn data_header(receiver: u32, number: u64) -> [u8; DATA_HEADER_LEN] {
    let mut header = [0; DATA_HEADER_LEN];
    header[..HEADER_LEN].copy_from_slice(&[MAGIC, PacketType::Data as u8, VERSION, 0]);
    header[4..8].copy_from_slice(&receiver.to_be_bytes());
    header[8..].copy_from_slice(&number.to_be_bytes());
    header
}

fn write_header(out: &mut Vec<u8>, kind: PacketType) {
    out.extend_from_slice(&[MAGIC, kind as u8, VERSION, 0]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CARRIERS: [Carrier; 2] = [Carrier::Udp, Carrier::Tcp];

    #[test]
    fn packets_round_trip() {
        let mut init = Vec::new();
        write_init_header(&mut init, 7);
        init.resize(HANDSHAKE_LEN - 2 * MAC_LEN, 3);
        init.extend_from_slice(&[1; MAC_LEN]);
        init.extend_from_slice(&[2; MAC_LEN]);
        for carrier in CARRIERS {
            let Ok(Packet::Init(read)) = parse(carrier, &init) else { panic!("not an INIT") };
            assert_eq!(read.sender, 7);
            assert_eq!(read.mac1, &[1; MAC_LEN]);
            assert_eq!(read.noise, &[3; HANDSHAKE_LEN - INIT_HEADER_LEN - 2 * MAC_LEN]);
            assert_eq!(read.covered, &init[..HANDSHAKE_LEN - 2 * MAC_LEN]);
            assert_eq!(read.covered_by_mac2, &init[..HANDSHAKE_LEN - MAC_LEN]);
            assert_eq!(read.mac2, &[2; MAC_LEN]);
        }

        let mut response = Vec::new();
        write_response_header(&mut response, 8, 9);
        response.resize(HANDSHAKE_LEN, 0);
        let Ok(Packet::Response { receiver: 9, handshake }) = parse(Carrier::Udp, &response) else {
            panic!("not a RESPONSE")
        };
        assert_eq!(handshake.sender, 8);

        let header = data_header(5, 6);
        let data = [&header[..], &[0; TAG_LEN]].concat();
        assert_eq!(parse(Carrier::Udp, &data), Ok(Packet::Data { receiver: 5, number: 6 }));

        let mut query = Vec::new();
        let mut answer = Vec::new();
        write_key_query(&mut query, Carrier::Udp, &[4; 16]);
        write_key_answer(&mut answer, &[4; 16], &[5; 32]);
        assert_eq!(parse(Carrier::Udp, &query), Ok(Packet::KeyQuery { nonce: &[4; 16] }));
        assert_eq!(parse(Carrier::Udp, &answer), Ok(Packet::KeyAnswer { nonce: &[4; 16], key: &[5; 32] }));
        assert!(answer.len() <= query.len());

        let mut cookie = Vec::new();
        write_cookie(&mut cookie, 5, &[6; COOKIE_NONCE_LEN], &[7; COOKIE_SEALED_LEN]);
        let read = Packet::Cookie { receiver: 5, nonce: &[6; 24], sealed: &[7; 32] };
        assert!(CARRIERS.iter().all(|carrier| parse(*carrier, &cookie) == Ok(read)));
        assert_eq!(parse(Carrier::Udp, &cookie[1..]), Err(PacketError::Magic));
        assert_eq!(parse(Carrier::Udp, &[&cookie[..], &[0]].concat()), Err(PacketError::Length));

        let mut reset = Vec::new();
        write_reset(&mut reset, 5, &[6; RESET_TOKEN_LEN]);
        assert_eq!(parse(Carrier::Udp, &reset), Ok(Packet::Reset { index: 5, token: &[6; RESET_TOKEN_LEN] }));
        assert!(reset.len() < data.len());
    }

    #[test]
    fn init_and_key_query_must_be_padded_on_udp_only() {
        let mut query = Vec::new();
        let mut init = Vec::new();
        write_key_query(&mut query, Carrier::Tcp, &[4; 16]);
        write_init_header(&mut init, 7);
        init.resize(200, 0);
        for short in [&query, &init] {
            assert_eq!(parse(Carrier::Udp, short), Err(PacketError::Length));
            assert!(parse(Carrier::Tcp, short).is_ok());
            let long = [&short[..], &[0; HANDSHAKE_LEN]].concat();
            assert!(CARRIERS.iter().all(|c| parse(*c, &long) == Err(PacketError::Length)));
        }
    }

    #[test]
    fn other_version_type_or_reserved_bits_are_refused() {
        let packet = [&data_header(1, 2)[..], &[0; 16]].concat();
        let table = [
            (0, 0xFE, PacketError::Magic),
            (1, 0, PacketError::Type),
            (1, PacketType::Cookie as u8, PacketError::Length),
            (1, PacketType::Reset as u8, PacketError::Length),
            (1, 255, PacketError::Type),
            (2, 0, PacketError::Version),
            (2, 2, PacketError::Version),
            (3, 1, PacketError::Reserved),
            (3, 128, PacketError::Reserved),
            (8, 0x40, PacketError::Number),
            (8, 0x80, PacketError::Number),
        ];
        for (at, value, error) in table {
            let mut bad = packet.clone();
            bad[at] = value;
            assert_eq!(parse(Carrier::Udp, &bad), Err(error), "byte {at} = {value}");
        }
        assert_eq!(parse(Carrier::Udp, &[]), Err(PacketError::Magic));
    }

    #[test]
    fn every_short_datagram_is_refused() {
        for first in 0..=255 {
            for len in 0..DATA_LEN_MIN {
                assert!(parse(Carrier::Udp, &vec![first; len]).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            kind in 0u8..9,
            mut bytes in proptest::collection::vec(any::<u8>(), 0..1300),
            framed in any::<bool>(),
        ) {
            if framed && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&[MAGIC, kind, VERSION, 0]);
            }
            for carrier in CARRIERS {
                let _ = parse(carrier, &bytes);
            }
        }
    }
}
