//! Cookies (WireGuard §5.4.7): proof that the initiator receives packets at its source address.
//!
//! The relay requires them under load, and keeps no state per client.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac, Digest};
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base::{PublicKey, Rng, Tick};
use crate::wire::packet::{self, COOKIE_NONCE_LEN, COOKIE_SEALED_LEN, Handshake, MAC_LEN};

/// Time in which a secret makes cookies. They count for the same time again.
///
/// A cookie therefore lives between one and two minutes, two being WireGuard's maximum, and one
/// made just before the change is not lost.
const SECRET_AGE: Duration = Duration::from_secs(60);

/// The key that an address uses for mac2.
#[derive(Clone, Copy)]
pub(super) struct Cookie([u8; MAC_LEN]);

impl Cookie {
    /// Returns mac2 of a packet, where `covered` is everything before it.
    pub(super) fn mac2(&self, covered: &[u8]) -> [u8; MAC_LEN] {
        mac(&self.0).chain_update(covered).finalize().into_bytes().into()
    }
}

/// Seals and opens the cookies of one relay: BLAKE2s-256(`queqiao cookie` ‖ the relay's public
/// key).
#[derive(Clone, Copy)]
pub(super) struct CookieKey([u8; 32]);

impl CookieKey {
    pub(super) fn new(relay: &PublicKey) -> CookieKey {
        let hash = Blake2s256::new().chain_update(b"queqiao cookie").chain_update(relay.0).finalize();
        CookieKey(hash.into())
    }

    fn seal(
        &self,
        nonce: &[u8; COOKIE_NONCE_LEN],
        mac1: &[u8; MAC_LEN],
        cookie: Cookie,
    ) -> [u8; COOKIE_SEALED_LEN] {
        let mut sealed = [0; COOKIE_SEALED_LEN];
        let (body, tag) = sealed.split_at_mut(MAC_LEN);
        body.copy_from_slice(&cookie.0);
        let tag_bytes = self
            .cipher()
            .encrypt_in_place_detached(XNonce::from_slice(nonce), mac1, body)
            .expect("16 bytes are far below the cipher's limit");
        tag.copy_from_slice(&tag_bytes);
        sealed
    }

    /// Opens the cookie for the INIT with this mac1. Returns `None` if the seal does not verify.
    pub(super) fn open(
        &self,
        nonce: &[u8; COOKIE_NONCE_LEN],
        mac1: &[u8; MAC_LEN],
        sealed: &[u8; COOKIE_SEALED_LEN],
    ) -> Option<Cookie> {
        let (body, tag) = sealed.split_at(MAC_LEN);
        let mut cookie: [u8; MAC_LEN] = body.try_into().ok()?;
        self.cipher()
            .decrypt_in_place_detached(XNonce::from_slice(nonce), mac1, &mut cookie, Tag::from_slice(tag))
            .ok()?;
        Some(Cookie(cookie))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&self.0).into())
    }
}

/// The relay's cookies. They need two secrets, whatever the flood.
pub(super) struct Cookies {
    key: CookieKey,
    current: Option<Secret>,
    previous: Option<Secret>,
}

struct Secret {
    bytes: Zeroizing<[u8; 32]>,
    since: Tick,
}

impl Cookies {
    pub(super) fn new(relay: &PublicKey) -> Cookies {
        Cookies { key: CookieKey::new(relay), current: None, previous: None }
    }

    /// Appends the COOKIE for an INIT from `addr`.
    pub(super) fn write_cookie(
        &mut self,
        now: Tick,
        addr: SocketAddr,
        init: &Handshake<'_>,
        rng: &mut Rng,
        out: &mut Vec<u8>,
    ) {
        self.rotate(now);
        let secret = self.current.get_or_insert_with(|| {
            let mut bytes = Zeroizing::new([0; 32]);
            rng.fill(&mut *bytes);
            Secret { bytes, since: now }
        });
        let mut nonce = [0; COOKIE_NONCE_LEN];
        rng.fill(&mut nonce);
        let sealed = self.key.seal(&nonce, init.mac1, secret.cookie(addr));
        packet::write_cookie(out, init.sender, &nonce, &sealed);
    }

    /// Whether mac2 of this INIT was made with a cookie that `addr` received at most two minutes
    /// ago. Runs in constant time.
    pub(super) fn verifies(&mut self, now: Tick, addr: SocketAddr, init: &Handshake<'_>) -> bool {
        self.rotate(now);
        let fits = |secret: &Secret| secret.cookie(addr).mac2(init.covered_by_mac2).ct_eq(init.mac2).into();
        [&self.current, &self.previous].into_iter().flatten().any(fits)
    }

    /// Retires old secrets.
    fn rotate(&mut self, now: Tick) {
        let is_old =
            |secret: &Option<Secret>, age| secret.as_ref().is_some_and(|s| now.since(s.since) >= age);
        if is_old(&self.current, SECRET_AGE) {
            self.previous = self.current.take();
        }
        if is_old(&self.previous, SECRET_AGE * 2) {
            self.previous = None;
        }
    }
}

impl Secret {
    fn cookie(&self, addr: SocketAddr) -> Cookie {
        let ip = match addr.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mac = mac(&*self.bytes).chain_update(ip.octets()).chain_update(addr.port().to_be_bytes());
        Cookie(mac.finalize().into_bytes().into())
    }
}

fn mac(key: &[u8]) -> Blake2sMac<U16> {
    <Blake2sMac<U16> as KeyInit>::new_from_slice(key).expect("a BLAKE2s key has at most 32 bytes")
}
