//! Scenarios: single situations with their exact expected results, next to the random ones of the
//! seeds.

pub mod basic;
mod forged_addresses;
mod guests;
mod load;
mod networks;
mod paths;
mod races;
mod resource_abuse;
mod restores;
