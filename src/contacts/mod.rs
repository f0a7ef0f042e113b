//! Room `contacts`.
