//! Room `net`.
