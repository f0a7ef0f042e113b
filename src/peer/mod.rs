//! Room `peer`.
