//! Serialises names, addresses and keys as text, and checks them when they are deserialised.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Fingerprint, HostPort, Name, PublicKey};

macro_rules! serde_text {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$kind, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|_| D::Error::custom(concat!("not a ", stringify!($kind))))
            }
        }
    )*};
}

serde_text!(Fingerprint, HostPort, Name, PublicKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_as_text_and_invalid_text_is_refused() {
        let relay: HostPort = "[::1]:8081".parse().unwrap();
        let name: Name = "一棵树".parse().unwrap();
        let key = PublicKey([7; 32]);
        let json = serde_json::to_string(&(&relay, &name, key)).unwrap();
        assert!(json.starts_with(r#"["[::1]:8081","一棵树","#), "{json}");
        assert_eq!(serde_json::from_str::<(HostPort, Name, PublicKey)>(&json).unwrap(), (relay, name, key));
        assert!(serde_json::from_str::<HostPort>(r#""::1:8081""#).is_err());
        assert!(serde_json::from_str::<Name>(r#""a b""#).is_err());
        assert!(serde_json::from_str::<PublicKey>(r#""AAAA""#).is_err());
    }
}
