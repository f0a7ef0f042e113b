//! The user's address book as a [`ContactLookup`].

use crate::base::{HostPort, Name};
use crate::contacts::{self, ResolveError};

use super::{ContactLookup, ResolvedContact};

impl ContactLookup for contacts::AddressBook {
    fn labels(&self) -> Vec<String> {
        self.contacts.iter().map(|contact| contact.label.to_string()).collect()
    }

    fn relays(&self) -> Vec<HostPort> {
        contacts::AddressBook::relays(self).iter().map(|relay| relay.address.clone()).collect()
    }

    fn relay_count(&self) -> usize {
        contacts::AddressBook::relays(self).len()
    }

    fn is_clear(&self, member: &Name) -> bool {
        let is_label = self.contact(member).is_some_and(|contact| contact.label == *member);
        self.relay_count() <= 1 && !is_label
    }

    /// Resolves an entry, or `NAME@HOST:PORT`. Without any entries, as after `queqiao join`, every
    /// name is valid at the only relay. With entries, an unknown name is more likely a typing error
    /// than a new recipient.
    fn resolve(&self, text: &str) -> Result<ResolvedContact, ResolveError> {
        let is_entry = text.parse::<Name>().is_ok_and(|name| self.contact(&name).is_some());
        let any_name = self.contacts.is_empty() && self.relay_count() == 1;
        if !is_entry && !any_name && !text.contains(['@', '＠']) {
            let phrase = self.unknown(text);
            let is_name = text.parse::<Name>().is_ok();
            return Err(if is_name { ResolveError::Unknown(phrase) } else { ResolveError::Invalid(phrase) });
        }
        let target = self.try_resolve(text)?;
        Ok(ResolvedContact { label: target.label, relay: target.relay, member: target.member })
    }

    fn nearest(&self, name: &str) -> Vec<Name> {
        contacts::AddressBook::nearest(self, name)
    }

    fn label_of(&self, relay: &HostPort, member: &Name) -> Option<String> {
        self.contact_of(relay, member).map(|contact| contact.label.to_string())
    }

    fn is_blocked(&self, relay: &HostPort, member: &Name) -> bool {
        self.contact_of(relay, member).is_some_and(|contact| contact.blocked)
    }

    fn looks_like(&self, member: &Name) -> Option<String> {
        contacts::AddressBook::looks_like(self, member).map(|contact| contact.label.to_string())
    }
}
